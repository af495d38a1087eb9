"""Endpoints that wait, fail and are cancelled in their first step or later do it in one real task, as under Starlette."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio
import pytest
from fastapi import Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from compat_tests.scheduled import Server

pytestmark = pytest.mark.thread_unsafe(reason="each test has a loop and its threads")

number = contextvars.ContextVar("number", default=0)


async def at_once(request: Request) -> Any:
    return PlainTextResponse("now")


async def steps(request: Request) -> Any:
    tasks = {asyncio.current_task()}
    number.set(1)
    for _ in range(3):
        await asyncio.sleep(0)
        tasks.add(asyncio.current_task())
        number.set(number.get() + 1)
    return JSONResponse([len(tasks), None in tasks, number.get()])


async def in_time(request: Request) -> Any:
    try:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    except TimeoutError:
        return PlainTextResponse("late")


async def scoped(request: Request) -> Any:
    with anyio.move_on_after(0.01) as scope:
        await anyio.sleep_forever()
    return PlainTextResponse(f"{scope.cancelled_caught}")


async def in_group(request: Request) -> Any:
    found: list[int] = []

    async def one(value: int) -> None:
        await anyio.sleep(0)
        found.append(value)

    async with anyio.create_task_group() as group:
        for value in range(3):
            group.start_soon(one, value)
    return JSONResponse(sorted(found))


async def fails_at_once(request: Request) -> Any:
    raise HTTPException(418)


async def fails_later(request: Request) -> Any:
    await asyncio.sleep(0)
    raise HTTPException(418, "later")


async def breaks_later(request: Request) -> Any:
    await asyncio.sleep(0)
    raise StopAsyncIteration


async def cancels_itself(request: Request) -> Any:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        task.uncancel()
        return PlainTextResponse("cancelled")


async def reads(request: Request) -> Any:
    return JSONResponse([len(await request.body()), len(await request.body())])


class Called:
    async def __call__(self, request: Request) -> Any:
        await asyncio.sleep(0)
        return PlainTextResponse("called")


ENDPOINTS: dict[str, Any] = {
    function.__name__: function
    for function in (at_once, steps, in_time, scoped, in_group, fails_at_once, fails_later, breaks_later, cancels_itself, reads)
} | {"partial": functools.partial(steps)}


def make() -> Starlette:
    return Starlette(routes=[Route(f"/{name}", endpoint, methods=["GET", "POST"]) for name, endpoint in ENDPOINTS.items()])


log: list[str] = []


async def opened(wait: bool = False, fail: str = "") -> AsyncIterator[int]:
    try:
        if wait:
            await asyncio.sleep(0)
        yield 1
    except HTTPException as exc:
        log.append(f"saw {exc.status_code}")
        raise
    finally:
        if wait:
            await asyncio.sleep(0)
        log.append("closed")
        if fail == "after":
            raise ValueError("closing")


def make_fastapi() -> FastAPI:
    app = FastAPI()

    @app.post("/item")
    async def item(body: dict[str, int], one: Annotated[int, Depends(opened)], wait: bool = False, fail: str = "") -> Any:
        if wait:
            await asyncio.sleep(0)
        if fail == "inside":
            raise HTTPException(409)
        return {**body, "one": one}

    return app


@pytest.fixture(scope="module")
def pair() -> Iterator[Any]:
    server = Server(make())
    yield server, TestClient(make(), raise_server_exceptions=False)
    server.close()


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_starlette(name: str, method: str, pair: Any) -> None:
    server, client = pair
    found = server.ask(method, f"/{name}", (), b"abc" if method == "POST" else b"")
    expected = client.request(method, f"/{name}", content=b"abc" if method == "POST" else None)
    assert (found.status, found.body) == (expected.status_code, expected.content)


def test_fastapi() -> None:
    server, client = Server(make_fastapi()), TestClient(make_fastapi(), raise_server_exceptions=False)
    try:
        for query in ("", "?wait=1", "?fail=inside", "?fail=inside&wait=1", "?fail=after", "?fail=after&wait=1"):
            log.clear()
            found = server.ask("POST", f"/item{query}", [(b"content-type", b"application/json")], b'{"a":1}')
            server.ask("POST", "/item", [(b"content-type", b"application/json")], b"{")  # lets the one before end
            ours = log.copy()
            log.clear()
            expected = client.post(f"/item{query}", json={"a": 1})
            client.post("/item", content=b"{", headers={"content-type": "application/json"})
            if query.startswith("?fail=after"):
                assert found.status == 200  # it was sent before
            else:
                assert (found.status, found.body) == (expected.status_code, expected.content)
            assert ours == log
    finally:
        server.close()
