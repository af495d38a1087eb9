"""Dependencies with ``yield``: what each sees, when it is closed and what the client gets, as under FastAPI alone.

One app, served three ways: by FastAPI itself, on a thread of the free lane, and in a task of the
loop. Every function writes to a log, and the logs must be the same.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import importlib
import inspect
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import anyio.to_thread
import fastapi.routing
import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from compat_tests.scheduled import Server
from freelane.adapters.compat import free_threading
from freelane.adapters.registry import adapt
from freelane.testing import Transport

pytestmark = pytest.mark.thread_unsafe(reason="the app keeps a log")

log: list[str] = []
current: contextvars.ContextVar[str] = contextvars.ContextVar("current", default="unset")
WAIT_SECONDS = 30.0


class Known(Exception):
    pass


class Item(BaseModel):
    number: int


def note(what: str) -> None:
    log.append(what)


def told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def generator(name: str, on_error: str = "raise", after: str = "") -> Callable[..., Iterator[str]]:
    """A `def` dependency. ``on_error``: raise, swallow, other, http or return; ``after``: what it does when all is well."""

    def opened() -> Iterator[str]:
        note(f"{name} opened, {current.get()}")
        current.set(name)
        try:
            yield name
        except BaseException as exc:
            note(f"{name} saw {told(exc)}")
            if on_error == "raise":
                raise
            if on_error == "other":
                raise Known(name) from exc
            if on_error == "http":
                raise HTTPException(418, name) from exc
        else:
            note(f"{name} saw nothing, {current.get()}")
            if after == "http":
                raise HTTPException(418, name)
            if after == "raise":
                raise Known(name)
            if after == "fail":
                raise RuntimeError(name)
            if after == "yield":
                yield "again"
        finally:
            note(f"{name} closed")

    return opened


def agenerator(name: str, on_error: str = "raise", after: str = "") -> Callable[..., AsyncIterator[str]]:
    async def opened() -> AsyncIterator[str]:
        note(f"{name} opened, {current.get()}")
        current.set(name)
        await asyncio.sleep(0)
        try:
            yield name
        except BaseException as exc:
            note(f"{name} saw {told(exc)}")
            if on_error == "raise":
                raise
            if on_error == "other":
                raise Known(name) from exc
            if on_error == "http":
                raise HTTPException(418, name) from exc
        else:
            note(f"{name} saw nothing, {current.get()}")
            if after == "http":
                raise HTTPException(418, name)
            if after == "raise":
                raise Known(name)
            if after == "fail":
                raise RuntimeError(name)
            if after == "yield":
                yield "again"
        finally:
            note(f"{name} closed")

    return opened


def empty() -> Iterator[str]:
    note("empty opened")
    return
    yield ""


def reads_context() -> str:
    note(f"reads {current.get()}")
    found = current.get()
    current.set("read")
    return found


async def sets_context() -> str:
    current.set("async")
    return "async"


def refuses() -> None:
    note("refuses")
    raise HTTPException(403, "refused")


def stops() -> None:
    raise StopIteration("stopped")


def takes(number: Annotated[int, Query()]) -> Iterator[int]:
    note(f"takes {number}")
    try:
        yield number
    finally:
        note("takes closed")


def later(name: str) -> None:
    note(f"task {name}, {current.get()}")


def fails_later() -> None:
    note("task fails")
    raise Known("task")


class Reusable:
    """A dependency that is an instance with a generator for its ``__call__``."""

    def __call__(self, x_name: Annotated[str, Header()] = "nobody") -> Iterator[str]:
        note(f"reusable {x_name}")
        yield x_name
        note("reusable closed")


def endpoint_for(values: dict[str, Any], kind: str, does: str) -> Callable[..., Any]:
    """An endpoint that takes ``values`` (name -> dependency) and then does one thing."""

    def body(found: dict[str, Any], tasks: BackgroundTasks) -> Any:
        note(f"endpoint {sorted(map(str, found.values()))}, {current.get()}")
        match does:
            case "http":
                raise HTTPException(409, "conflict", headers={"x-a": "b"})
            case "known":
                raise Known("endpoint")
            case "fail":
                raise RuntimeError("endpoint")
            case "exit":
                raise KeyboardInterrupt("endpoint")
            case "stop" if kind == "def":
                raise StopIteration("endpoint")
            case "invalid":
                return {"number": "none"}
            case "task":
                tasks.add_task(later, "a")
                tasks.add_task(later, "b")
            case "task fails":
                tasks.add_task(later, "a")
                tasks.add_task(fails_later)
                tasks.add_task(later, "never")
            case "response":
                return PlainTextResponse("plain", 201, headers={"x-a": "b"})
            case "none":
                return Response(status_code=204)
            case "stream":
                return StreamingResponse(iter(["a", "b"]))
            case "stream fails":
                return StreamingResponse(breaks())
        return {"number": len(found)}

    def breaks() -> Iterator[str]:
        yield "a"
        raise Known("stream")

    if kind == "def":

        def endpoint(tasks: BackgroundTasks, **found: Any) -> Any:
            return body(found, tasks)
    else:

        async def endpoint(tasks: BackgroundTasks, **found: Any) -> Any:  # type: ignore[misc]
            return body(found, tasks)

    parameters = [inspect.Parameter("tasks", inspect.Parameter.KEYWORD_ONLY, annotation=BackgroundTasks)]
    for name, dependency in values.items():
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Any, dependency]))
    endpoint.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return endpoint


DOES = [
    "answer", "http", "known", "fail", "stop", "invalid", "task", "task fails", "response", "none", "stream", "stream fails",
]  # fmt: skip


# The sets of dependencies with which an endpoint does all of that; the others do the first few.
ALL = {"nested", "function", "async function", "mixed"}
FEW = ["answer", "http", "fail", "task fails", "stream"]


def nested(outer: Callable[..., Any]) -> Callable[..., Iterator[str]]:
    def inner(below: Annotated[str, Depends(outer)]) -> Iterator[str]:
        note(f"inner of {below}, {current.get()}")
        try:
            yield f"inner of {below}"
        except BaseException as exc:
            note(f"inner saw {told(exc)}")
            raise
        finally:
            note("inner closed")

    return inner


def function_scope(call: Callable[..., Any]) -> Any:
    return Depends(call, scope="function")


def sets() -> dict[str, dict[str, Any]]:
    """Dependencies of one endpoint each, by the name of what they show."""
    g, a, D = generator, agenerator, Depends
    shared = g("shared")
    return {
        "one": {"a": D(g("a"))},
        "two": {"a": D(g("a")), "b": D(g("b"))},
        "nested": {"a": D(nested(g("a"))), "b": D(reads_context)},
        "swallows": {"a": D(g("a")), "b": D(g("b", "swallow"))},
        "swallows outside": {"a": D(g("a", "swallow")), "b": D(g("b"))},
        "raises another": {"a": D(g("a")), "b": D(g("b", "other"))},
        "answers": {"a": D(g("a")), "b": D(g("b", "http"))},
        "http after": {"a": D(g("a")), "b": D(g("b", after="http"))},
        "raises after": {"a": D(g("a")), "b": D(g("b", after="raise"))},
        "fails after": {"a": D(g("a", "swallow")), "b": D(g("b", after="fail"))},
        "yields twice": {"a": D(g("a")), "b": D(g("b", after="yield"))},
        "never yields": {"a": D(g("a")), "b": D(empty)},
        "refused": {"a": D(g("a")), "b": D(refuses), "c": D(g("c"))},
        "stopped": {"a": D(g("a")), "b": D(stops)},
        "invalid": {"a": D(g("a")), "b": D(takes), "c": D(g("c"))},
        "function": {"a": D(g("a")), "b": function_scope(g("b")), "c": D(g("c")), "d": function_scope(g("d"))},
        "function swallows": {"a": D(g("a")), "b": function_scope(g("b", "swallow"))},
        "function http after": {"a": D(g("a")), "b": function_scope(g("b", after="http"))},
        "function raises after": {"a": D(g("a", "swallow")), "b": function_scope(g("b", after="raise"))},
        "shared": {"a": D(shared), "b": D(shared), "c": Depends(shared, use_cache=False)},
        "instance": {"a": D(Reusable()), "b": D(HTTPBearer(auto_error=False))},
        "async": {"a": D(a("a")), "b": D(a("b")), "c": D(reads_context)},
        "async swallows": {"a": D(a("a")), "b": D(a("b", "swallow"))},
        "async raises another": {"a": D(a("a", "other")), "b": D(a("b"))},
        "async raises after": {"a": D(a("a")), "b": D(a("b", after="raise"))},
        "async yields twice": {"a": D(a("a")), "b": D(a("b", after="yield"))},
        "async function": {"a": function_scope(a("a")), "b": D(a("b")), "c": function_scope(a("c", "http", "http"))},
        "mixed": {"a": D(g("a")), "b": D(a("b")), "c": D(g("c")), "d": D(reads_context), "e": D(sets_context), "f": D(g("f"))},
        "mixed swallows": {"a": D(a("a")), "b": D(g("b", "swallow")), "c": D(a("c"))},
        "mixed function": {"a": D(a("a")), "b": function_scope(g("b")), "c": D(g("c")), "d": function_scope(a("d"))},
    }  # fmt: skip


def known(request: Request, error: Exception) -> Response:
    note(f"handler {told(error)}")
    return JSONResponse({"known": str(error)}, 420)


def crashed(request: Request, error: Exception) -> Response:
    note(f"crash {told(error)}")
    return JSONResponse({"crash": type(error).__name__}, 500)


def paths(name: str) -> list[str]:
    return [f"/{name}/{kind}/{does}".replace(" ", "-") for kind in ("def", "async") for does in (DOES if name in ALL else FEW)]


Answer = tuple[int, list[tuple[str, str]], bytes]


def make_app(name: str) -> FastAPI:
    # FastAPI names the endpoint of an invalid answer by its id, which another test's endpoint may have had.
    getattr(fastapi.routing, "_endpoint_context_cache", {}).clear()
    app = FastAPI(exception_handlers={Known: known, Exception: crashed})  # type: ignore[dict-item]
    values = sets()[name]
    for path in paths(name):
        _, _, kind, does = path.split("/")
        endpoint = endpoint_for(values, kind, does.replace("-", " "))
        app.add_api_route(path, endpoint, response_model=Item if does == "invalid" else None)
    return app


def through(transport: httpx.AsyncBaseTransport, asked: list[str]) -> dict[str, tuple[Answer, list[str]]]:
    """The answer to each path, and what was logged by then."""

    async def ask() -> dict[str, tuple[Answer, list[str]]]:
        found = {}
        async with httpx.AsyncClient(transport=transport) as client:
            for path in asked:
                log.clear()
                # A server gives each request a context of its own.
                asked_for = client.get(f"http://testserver{path}")
                answer = await asyncio.create_task(asked_for, context=contextvars.Context())
                headers = [(n.decode().lower(), v.decode()) for n, v in answer.headers.raw]
                found[path] = (answer.status_code, headers, answer.content), list(log)
        return found

    return asyncio.run(ask())


def alone(app: Any) -> httpx.AsyncBaseTransport:
    """FastAPI's own way."""
    return httpx.ASGITransport(app, raise_app_exceptions=False)


def wait_for_the_end(server: Server, expected: int = 0) -> None:
    """Until nothing runs and the log is as long as expected: the client has its answer before what follows it."""
    deadline = time.monotonic() + WAIT_SECONDS
    while len(log) < expected and time.monotonic() < deadline:
        time.sleep(0.001)
    while (server.executor.busy_slots or server.gateway.active) and time.monotonic() < deadline:
        time.sleep(0.001)


@contextmanager
def serving(app: FastAPI, limit: int = 8) -> Iterator[Server]:
    server = Server(app, limit)
    try:
        yield server
    finally:
        server.close()


@functools.cache
def expected(name: str) -> dict[str, tuple[Answer, list[str]]]:
    return through(alone(make_app(name)), paths(name))


@pytest.mark.parametrize("name", list(sets()))
def test_as_fastapi_on_its_own_server(name: str) -> None:
    with serving(make_app(name)) as server:
        for path in paths(name):
            answer, wanted = expected(name)[path]
            log.clear()
            got = server.ask("GET", path)
            wait_for_the_end(server, len(wanted))
            headers = [pair for pair in got.headers if pair[0] != "connection"]
            assert ((got.status, headers, got.body), log) == (answer, wanted), path


@pytest.mark.parametrize("name", list(sets()))
def test_as_fastapi_under_another_rsgi_server(name: str) -> None:
    found = through(Transport(make_app(name)), paths(name))
    for path in paths(name):
        assert found[path] == expected(name)[path], path


@pytest.mark.parametrize("name", list(sets()))
def test_all_of_it_is_compiled_and_all_that_is_def_runs_on_one_thread(name: str) -> None:
    rows = {path: entry.plan for path, *_, entry in adapt(make_app(name)).router.whole().rows}  # type: ignore[attr-defined]
    for path in paths(name):
        plan = rows[path]
        waits = path.split("/")[2] == "async" or name.startswith(("async", "mixed"))
        assert (plan.compiled, plan.call is not None, plan.lane) == (True, True, "loop" if waits else "free"), path


def test_one_hop_before_and_one_after_an_async_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    hops: list[str] = []
    with serving(make_app("two")) as server:
        calls = server.adapted.calls  # type: ignore[attr-defined]
        entered = calls.entered
        monkeypatch.setattr(calls, "entered", lambda *args: (hops.append("hop"), entered(*args))[1])  # type: ignore[func-returns-value]
        assert server.ask("GET", "/two/async/answer").status == 200
        wait_for_the_end(server)
    assert hops == ["hop", "hop"]


def test_a_def_route_is_served_by_the_thread_that_granian_calls() -> None:
    seen: list[int] = []

    def opened() -> Iterator[None]:
        seen.append(threading.get_ident())
        yield
        seen.append(threading.get_ident())

    def endpoint(tasks: BackgroundTasks, found: None = Depends(opened)) -> str:
        seen.append(threading.get_ident())
        tasks.add_task(lambda: seen.append(threading.get_ident()))
        return "a"

    app = FastAPI()
    app.add_api_route("/", endpoint)
    with serving(app) as server:
        assert server.ask("GET", "/").status == 200
        wait_for_the_end(server)
    assert len(seen) == 4 and len(set(seen)) == 1 and threading.get_ident() not in seen


def test_closing_does_not_wait_for_the_threads_that_wait_for_it() -> None:
    """Endpoints that hold the one connection while all threads wait for it: closing must find a thread."""
    connection = threading.Semaphore(1)

    def opened() -> Iterator[None]:
        assert connection.acquire(timeout=WAIT_SECONDS)
        try:
            yield
        finally:
            connection.release()

    async def endpoint(found: None = Depends(opened)) -> str:
        await asyncio.sleep(0)
        return "a"

    app = FastAPI()
    app.add_api_route("/", endpoint)
    with serving(app, limit=2) as server:
        answers = [server.begin("GET", "/") for _ in range(12)]
        assert [answer().status for answer in answers] == [200] * 12


def test_a_request_that_is_cancelled_closes_what_it_opened() -> None:
    began = threading.Event()
    seen: list[type[BaseException] | str] = []

    def opened() -> Iterator[None]:
        try:
            yield
        except BaseException as exc:
            seen.append(type(exc))
            raise
        finally:
            seen.append("closed")

    async def endpoint(a: None = Depends(opened), b: str = Depends(agenerator("b"))) -> None:
        began.set()
        await asyncio.Event().wait()

    app = FastAPI()
    app.add_api_route("/", endpoint)
    with serving(app) as server:
        server.begin("GET", "/")
        assert began.wait(WAIT_SECONDS)
        (exchange,) = server.gateway.active
        assert exchange.task is not None
        server.loop.call_soon_threadsafe(exchange.task.cancel)
        deadline = time.monotonic() + WAIT_SECONDS
        while "closed" not in seen and time.monotonic() < deadline:
            time.sleep(0.001)
    assert seen == [asyncio.CancelledError, "closed"]


def test_nothing_is_made_per_request_that_stops_every_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting the name of a function does; ``functools.wraps`` is what does it."""
    wrapped: list[Any] = []
    update = functools.update_wrapper
    monkeypatch.setattr(functools, "update_wrapper", lambda *args, **more: (wrapped.append(args), update(*args, **more))[1])  # type: ignore[func-returns-value]
    monkeypatch.setattr("contextlib.wraps", lambda function: lambda made: (wrapped.append(function), made)[1])  # type: ignore[func-returns-value]
    for name in ("two", "mixed", "async", "function"):
        asked = [f"/{name}/{kind}/answer" for kind in ("def", "async")]
        with serving(make_app(name)) as server:
            wrapped.clear()
            assert [server.ask("GET", path).status for path in asked] == [200, 200]
            wait_for_the_end(server)
        theirs = make_app(name)
        wrapped.clear()
        assert [answer[0] for answer, _ in through(alone(theirs), asked).values()] == [200, 200]
        assert wrapped == []


def test_anyios_threads_sleep_at_once_where_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Any = importlib.import_module("anyio._backends._asyncio")
    before = backend.Queue
    try:
        backend.Queue = queue.Queue
        assert free_threading.park_anyio_threads() and backend.Queue is free_threading.ParkingQueue

        async def work() -> list[int]:
            return [await anyio.to_thread.run_sync(int, number) for number in range(3)]

        assert asyncio.run(work()) == [0, 1, 2]
        backend.Queue = dict
        assert not free_threading.park_anyio_threads() and backend.Queue is dict
    finally:
        backend.Queue = before


def test_the_cases_reach_what_fastapi_says_of_each_mistake() -> None:
    logs = [line for name in ALL | {"swallows", "swallows outside", "function swallows", "http after"}
            for _, lines in expected(name).values() for line in lines]  # fmt: skip
    assert any(line.startswith("crash FastAPIError: Response not awaited") for line in logs)
    assert any(line.startswith("crash UnboundLocalError") for line in logs)
    assert any(line.startswith("crash RuntimeError: Caught handled exception") for line in logs)
