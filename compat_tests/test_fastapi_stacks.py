"""Code that uses FastAPI's own ``solve_dependencies`` or exit stacks finds them as under FastAPI alone, in every release.

Each app is served by FastAPI itself, by freelane's server and by another RSGI server: the same answers, the same log.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import anyio.from_thread
import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.dependencies.utils import get_dependant, solve_dependencies
from fastapi.responses import JSONResponse, StreamingResponse

from compat_tests.scheduled import Server
from freelane.adapters.registry import adapt
from freelane.testing import Transport

pytestmark = pytest.mark.thread_unsafe(reason="the app keeps a log")

WAIT_SECONDS = 60.0
log: list[str] = []
KNOWN = inspect.signature(solve_dependencies).parameters
SCOPED = "scope" in inspect.signature(Depends).parameters
FUNCTION: dict[str, Any] = {"scope": "function"} if SCOPED else {}


def told(error: object) -> str:
    return "nothing" if error is None else f"{type(error).__name__}: {error}"


def generator(name: str) -> Callable[..., Iterator[str]]:
    def opened() -> Iterator[str]:
        log.append(f"{name} opened")
        try:
            yield name
        except BaseException as exc:
            log.append(f"{name} saw {told(exc)}")
            raise
        finally:
            log.append(f"{name} closed")

    return opened


def agenerator(name: str) -> Callable[..., AsyncIterator[str]]:
    async def opened() -> AsyncIterator[str]:
        log.append(f"{name} opened")
        try:
            yield name
        finally:
            log.append(f"{name} closed")

    return opened


def wanted(a: str = Depends(generator("a")), b: str = Depends(agenerator("b")), n: int = 1) -> dict[str, Any]:
    return {"a": a, "b": b, "n": n}


def wanted_inside(a: str = Depends(generator("a")), b: str = Depends(agenerator("b"), **FUNCTION)) -> dict[str, Any]:
    return {"a": a, "b": b}


async def solve(request: Request, function: Callable[..., Any] = wanted) -> Any:
    """As libraries do that inject into functions of their own."""
    dependant = get_dependant(path="/", call=function)
    own = AsyncExitStack()
    more = {name: value for name, value in {"async_exit_stack": own, "embed_body_fields": False}.items() if name in KNOWN}
    found: Any = await solve_dependencies(request=request, dependant=dependant, **more)  # type: ignore[arg-type]
    # Older releases put into the stack that they are given; newer ones leave it empty.
    await own.aclose()
    values, errors = (found[0], found[1]) if isinstance(found, tuple) else (found.values, found.errors)
    if errors:
        raise HTTPException(422, str(errors))
    return function(**values)


async def in_async(request: Request) -> Any:
    return await solve(request)


def in_def(request: Request) -> Any:
    return anyio.from_thread.run(solve, request)


async def in_async_function_scope(request: Request) -> Any:
    return await solve(request, wanted_inside)


def in_def_function_scope(request: Request) -> Any:
    return anyio.from_thread.run(solve, request, wanted_inside)


async def beside_its_own(request: Request, c: str = Depends(generator("c"))) -> Any:
    return [c, await solve(request)]


async def dependency(request: Request) -> Any:
    return await solve(request)


def by_dependency(found: Any = Depends(dependency), c: str = Depends(generator("c"))) -> Any:
    return [found, c]


async def fails_after(request: Request) -> None:
    await solve(request)
    raise ValueError("after")


def fails_after_in_def(request: Request) -> None:
    anyio.from_thread.run(solve, request)
    raise HTTPException(409, "after")


async def invalid(request: Request) -> Any:
    return await solve(request)


async def streams(request: Request) -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        yield "begun "
        yield str(await solve(request))

    return StreamingResponse(body())


def stacks(request: Request) -> list[AsyncExitStack]:
    names = ("fastapi_middleware_astack", "fastapi_inner_astack", "fastapi_function_astack")
    return [request.scope[name] for name in names if name in request.scope]


async def push(request: Request) -> list[bool]:
    async def later(name: int) -> None:
        log.append(f"{name} later")

    def swallow(kind: Any, error: Any, traceback: Any) -> bool:
        log.append(f"exit saw {told(error)}")
        return False

    for number, stack in enumerate(stacks(request)):
        stack.push_async_callback(later, number)
        stack.callback(log.append, f"{number} first")
        stack.push(swallow)
    return [isinstance(stack, AsyncExitStack) for stack in stacks(request)]


async def pushes(request: Request, c: str = Depends(generator("c"))) -> Any:
    return await push(request)


def pushes_in_def(request: Request, c: str = Depends(generator("c"))) -> Any:
    return anyio.from_thread.run(push, request)


async def pushes_and_fails(request: Request) -> None:
    await push(request)
    raise ValueError("pushed")


async def takes_over(request: Request) -> Any:
    found = await push(request)
    for stack in stacks(request):
        async with stack.pop_all():
            log.append("taken over")
        await stack.aclose()
    return found


async def untouched(request: Request) -> str:
    return "a"


ENDPOINTS: list[Callable[..., Any]] = [
    in_async, in_def, in_async_function_scope, in_def_function_scope, beside_its_own, by_dependency, fails_after,
    fails_after_in_def, streams, pushes, pushes_in_def, pushes_and_fails, takes_over, untouched,
]  # fmt: skip
PATHS = [f"/{endpoint.__name__}" for endpoint in ENDPOINTS] + ["/in_async?n=x", "/in_def?n=x", "/in_def?n=5"]


def crashed(request: Request, error: Exception) -> JSONResponse:
    log.append(f"crash {told(error)}")
    return JSONResponse({"crash": type(error).__name__}, 500)


def make() -> FastAPI:
    app = FastAPI(exception_handlers={Exception: crashed})  # type: ignore[dict-item]
    for endpoint in ENDPOINTS:
        app.add_api_route(f"/{endpoint.__name__}", endpoint, response_model=None)
    return app


def through(transport: httpx.AsyncBaseTransport, path: str) -> tuple[int, bytes]:
    async def ask() -> tuple[int, bytes]:
        async with httpx.AsyncClient(transport=transport) as client:
            asked = client.get(f"http://testserver{path}")
            answer = await asyncio.create_task(asked, context=contextvars.Context())
            return answer.status_code, answer.content

    log.clear()
    return asyncio.run(ask())


def alone(path: str) -> tuple[tuple[int, bytes], list[str]]:
    return through(httpx.ASGITransport(make(), raise_app_exceptions=False), path), list(log)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(make(), 8)
    yield server
    server.close()


@pytest.mark.parametrize("path", PATHS)
def test_on_its_own_server(server: Server, path: str) -> None:
    answer, wanted = alone(path)
    log.clear()
    got = server.ask("GET", path)
    deadline = time.monotonic() + WAIT_SECONDS
    while (len(log) < len(wanted) or server.executor.busy_slots or server.gateway.active) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert ((got.status, got.body), log) == (answer, wanted)


@pytest.mark.parametrize("path", PATHS)
def test_under_another_rsgi_server(path: str) -> None:
    answer, wanted = alone(path)
    assert (through(Transport(make()), path), log) == (answer, wanted)


@pytest.mark.skipif(not SCOPED, reason="this FastAPI closes dependencies in its handler")
def test_the_routes_are_compiled() -> None:
    rows = {path: entry.plan for path, *_, entry in adapt(make()).router.table.rows}  # type: ignore[attr-defined]
    assert all(rows[f"/{endpoint.__name__}"].compiled for endpoint in ENDPOINTS)
