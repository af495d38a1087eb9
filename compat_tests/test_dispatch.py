"""Middleware with a ``dispatch``, compiled: what it sees and what comes of it is as in the app itself."""

from __future__ import annotations

import asyncio
import contextvars
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import anyio
import pytest
from fastapi import Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from compat_tests.scheduled import Server
from freelane.adapters.starlette.inside import Inside

pytestmark = pytest.mark.thread_unsafe(reason="each test has a loop and its threads")

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
log: contextvars.ContextVar[list[str]] = contextvars.ContextVar("log")

Dispatch = Callable[[Request, Any], Any]
KEYS = ("endpoint", "route", "router", "path_params", "app", "root_path", "starlette.exception_handlers")


def note(request: Request, what: str) -> None:
    request.app.state.log.append(what)


async def stamps(request: Request, call_next: Any) -> Response:
    note(request, f"before {sorted(key for key in KEYS if key in request.scope)} {request.path_params}")
    response = await call_next(request)
    note(
        request, f"after {sorted(key for key in KEYS if key in request.scope)} {request.path_params} {response.headers.items()}"
    )
    response.headers["x-stamp"] = "1"
    response.status_code += 1 if response.status_code == 200 else 0
    return response  # type: ignore[no-any-return]


async def answers_itself(request: Request, call_next: Any) -> Response:
    return PlainTextResponse("mine" * 300, headers={"vary": "x"}) if "origin" in request.headers else await call_next(request)


async def fails_before(request: Request, call_next: Any) -> Response:
    raise KeyError("before")


async def fails_after(request: Request, call_next: Any) -> Response:
    await call_next(request)
    raise ValueError("after")


async def refuses(request: Request, call_next: Any) -> Response:
    raise HTTPException(403)


async def catches(request: Request, call_next: Any) -> Response:
    try:
        return await call_next(request)  # type: ignore[no-any-return]
    except Exception as exc:
        note(request, f"caught {type(exc).__name__}")
        return JSONResponse({"caught": str(exc)}, 500)


async def reads_body(request: Request, call_next: Any) -> Response:
    note(request, f"body {await request.body()!r}")
    response = await call_next(request)
    note(request, f"again {await request.body()!r}")
    return response  # type: ignore[no-any-return]


async def streams_body(request: Request, call_next: Any) -> Response:
    note(request, str([chunk async for chunk in request.stream()]))
    return await call_next(request)  # type: ignore[no-any-return]


async def replaces(request: Request, call_next: Any) -> Response:
    response = await call_next(request)
    body = b"".join([chunk async for chunk in response.body_iterator])
    return Response(body.upper(), response.status_code, {"x-size": str(len(body))}, response.media_type)


async def wraps_iterator(request: Request, call_next: Any) -> Response:
    response = await call_next(request)
    inner = response.body_iterator

    async def shouting() -> AsyncIterator[bytes]:
        async for chunk in inner:
            yield chunk.upper()

    response.body_iterator = shouting()
    return response  # type: ignore[no-any-return]


async def reads_iterator(request: Request, call_next: Any) -> Response:
    response = await call_next(request)
    del response.headers["content-length"]
    async for _ in response.body_iterator:
        pass
    return response  # type: ignore[no-any-return]


async def closes_iterator(request: Request, call_next: Any) -> Response:
    response = await call_next(request)
    del response.headers["content-length"]
    await response.body_iterator.aclose()
    return response  # type: ignore[no-any-return]


async def works_later(request: Request, call_next: Any) -> Response:
    response = await call_next(request)
    response.background = BackgroundTask(note, request, "background")
    return response  # type: ignore[no-any-return]


async def sets_context(request: Request, call_next: Any) -> Response:
    variable.set("dispatch")
    response = await call_next(request)
    response.headers["x-variable"] = variable.get()
    return response  # type: ignore[no-any-return]


async def another_path(request: Request, call_next: Any) -> Response:
    request.scope["path"] = "/value/other"
    return await call_next(request)  # type: ignore[no-any-return]


async def another_method(request: Request, call_next: Any) -> Response:
    request.scope["method"] = "POST"
    return await call_next(request)  # type: ignore[no-any-return]


async def twice(request: Request, call_next: Any) -> Response:
    await call_next(request)
    return await call_next(request)  # type: ignore[no-any-return]


async def twice_read(request: Request, call_next: Any) -> Response:
    first = await call_next(request)
    read = [chunk async for chunk in first.body_iterator]
    note(request, f"first {read}")
    return await call_next(request)  # type: ignore[no-any-return]


async def tries_again(request: Request, call_next: Any) -> Response:
    try:
        return await call_next(request)  # type: ignore[no-any-return]
    except Exception:
        return await call_next(request)  # type: ignore[no-any-return]


async def in_time(request: Request, call_next: Any) -> Response:
    async with asyncio.timeout(60):
        with anyio.fail_after(60):
            return await call_next(request)  # type: ignore[no-any-return]


async def too_late(request: Request, call_next: Any) -> Response:
    with anyio.move_on_after(0):
        return await call_next(request)  # type: ignore[no-any-return]
    note(request, "too late")
    return PlainTextResponse("too late", 504)


async def no_length(request: Request, call_next: Any) -> Response:
    response = await call_next(request)
    if "content-length" in response.headers:
        del response.headers["content-length"]
    return response  # type: ignore[no-any-return]


async def wrong_length(request: Request, call_next: Any) -> Response:
    response = await call_next(request)
    response.headers["content-length"] = "3"
    return response  # type: ignore[no-any-return]


async def returns_none(request: Request, call_next: Any) -> Any:
    await call_next(request)


async def keeps_state(request: Request, call_next: Any) -> Response:
    request.state.user = "me"
    return await call_next(request)  # type: ignore[no-any-return]


async def own_stream(request: Request, call_next: Any) -> Response:
    response = await call_next(request)
    return StreamingResponse(response.body_iterator, response.status_code, headers={"x-own": "1"})


DISPATCHES = (
    stamps, answers_itself, fails_before, fails_after, refuses, catches, reads_body, streams_body, replaces,
    wraps_iterator, reads_iterator, closes_iterator, works_later, sets_context, another_path, another_method, twice,
    twice_read, tries_again, in_time, no_length, wrong_length, returns_none, keeps_state, own_stream,
)  # fmt: skip


async def opened(request: Request) -> AsyncIterator[str]:
    note(request, f"open {variable.get()}")
    variable.set("dependency")
    try:
        yield "value"
    except BaseException as exc:
        note(request, f"thrown {type(exc).__name__}")
        raise
    finally:
        note(request, f"close {variable.get()}")


def add_routes(app: FastAPI) -> None:
    @app.get("/value/{name}")
    async def value(name: str, request: Request) -> Any:
        found = variable.get(), getattr(request.state, "user", None)
        variable.set("endpoint")
        return {"name": name, "found": found, "context": log.get(["none"])}

    @app.get("/large")
    async def large() -> Any:
        return PlainTextResponse("x" * 2000)

    @app.get("/empty", status_code=204)
    async def empty() -> None:
        return None

    @app.get("/def")
    def on_thread() -> Any:
        return {"variable": variable.get()}

    @app.get("/opened")
    async def with_opened(found: Annotated[str, Depends(opened)]) -> Any:
        return {"found": found, "variable": variable.get()}

    @app.get("/opened/fails")
    async def opened_fails(found: Annotated[str, Depends(opened)]) -> Any:
        raise ValueError("inside")

    @app.post("/body")
    async def body(item: dict[str, int], request: Request) -> Any:
        return {"item": item, "raw": (await request.body()).decode()}

    @app.post("/value/{name}")
    async def posted(name: str, request: Request) -> Any:
        return {"posted": name, "raw": (await request.body()).decode()}

    @app.get("/waits")
    async def waits(request: Request) -> Any:
        try:
            await anyio.sleep(0.01)
            note(request, "waited")
        except BaseException as exc:
            note(request, f"cancelled by {type(exc).__name__}")
            raise

    @app.get("/stream")
    async def stream() -> Any:
        return StreamingResponse(iter([b"one", b"two" * 400]))

    @app.get("/refused")
    async def refused() -> Any:
        raise HTTPException(418, "no")

    @app.get("/fails")
    async def fails() -> Any:
        raise ValueError("fails") from KeyError("cause")

    @app.get("/background")
    async def background(request: Request) -> Any:
        return PlainTextResponse("later", background=BackgroundTask(note, request, "later"))


REQUESTS: list[tuple[str, str, list[tuple[bytes, bytes]], bytes]] = [
    ("GET", "/value/a", [], b""),
    ("GET", "/value/a", [(b"origin", b"https://a.example"), (b"accept-encoding", b"gzip")], b""),
    ("HEAD", "/large", [], b""),
    ("GET", "/large", [(b"accept-encoding", b"gzip")], b""),
    ("GET", "/large", [(b"origin", b"https://a.example")], b""),
    ("GET", "/empty", [], b""),
    ("GET", "/def", [], b""),
    ("GET", "/opened", [], b""),
    ("GET", "/opened/fails", [], b""),
    ("POST", "/body", [(b"content-type", b"application/json")], b'{"a": 1}'),
    ("POST", "/body", [(b"content-type", b"application/json")], b'{"a": "x"}'),
    ("POST", "/body", [(b"content-type", b"application/json")], b"{"),
    ("POST", "/value/b", [], b"raw"),
    ("GET", "/waits", [], b""),
    ("GET", "/stream", [], b""),
    ("GET", "/refused", [], b""),
    ("GET", "/fails", [], b""),
    ("GET", "/background", [], b""),
    ("GET", "/nowhere", [], b""),
    ("OPTIONS", "/large", [(b"origin", b"https://a.example"), (b"access-control-request-method", b"GET")], b""),
]


class Pair:
    """The same app twice: as freelane serves it, and as it serves itself."""

    def __init__(self, make: Callable[[], FastAPI]) -> None:
        self.apps = make(), make()
        for app in self.apps:
            app.state.log = []
        theirs = self.apps[1]

        async def itself(scope: Any, receive: Any, send: Any) -> None:
            await theirs(scope, receive, send)

        self.servers = Server(self.apps[0]), Server(itself)

    def ask(self, method: str, path: str, headers: Any = (), content: bytes = b"") -> None:
        seen = []
        for server, app in zip(self.servers, self.apps):
            answer = server.ask(method, path, headers, content)
            asyncio.run_coroutine_threadsafe(settle(server), server.loop).result(20)
            errors = [type(error) for error in server.errors]
            server.errors.clear()
            seen.append((answer.status, answer.headers, answer.body, app.state.log.copy(), errors))
            app.state.log.clear()
        assert seen[0] == seen[1], (method, path, headers)

    def close(self) -> None:
        for server in self.servers:
            server.close()


async def settle(server: Server) -> None:
    """Until no request of the server's runs any more, its background work included."""
    while server.gateway.active:
        await asyncio.sleep(0)


@pytest.fixture
def pair() -> Iterator[Callable[[Callable[[], FastAPI]], Pair]]:
    pairs: list[Pair] = []

    def make(app: Callable[[], FastAPI]) -> Pair:
        pairs.append(Pair(app))
        return pairs[-1]

    yield make
    for made in pairs:
        made.close()


def stack(*layers: Any) -> Callable[[], FastAPI]:
    """An app behind layers, the outermost first; a function is one with that ``dispatch``."""

    def make() -> FastAPI:
        middleware = [
            layer if isinstance(layer, Middleware) else Middleware(BaseHTTPMiddleware, dispatch=layer) for layer in layers
        ]
        app = FastAPI(middleware=middleware)
        add_routes(app)
        return app

    return make


class Foreign:
    """Middleware that freelane does not know: it sees the scope before and after, and every message."""

    def __init__(self, app: Any, refuse: str = "") -> None:
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        log = scope["app"].state.log
        log.append(f"in {sorted(key for key in KEYS if key in scope)}")

        async def sending(message: Any) -> None:
            shown = {key: value for key, value in message.items() if key != "headers"}
            log.append(f"{shown}")
            if message["type"] == self.refuse:
                await asyncio.sleep(0)  # what was sent before is on its way
                raise HTTPException(403)
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-foreign", b"1")]}
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            log.append(f"out {sorted(key for key in KEYS if key in scope)} {scope.get('path_params')}")


FOREIGN = Middleware(Foreign)
CORS = Middleware(CORSMiddleware, allow_origins=["https://a.example"])
GZIP = Middleware(GZipMiddleware)


@pytest.mark.parametrize("dispatch", DISPATCHES, ids=lambda dispatch: dispatch.__name__)
def test_what_dispatch_does(pair: Any, dispatch: Dispatch) -> None:
    both = pair(stack(dispatch))
    for request in REQUESTS:
        # Asked again, what reads a body waits for more of it, and a stream's pieces mix.
        if dispatch not in (twice, twice_read) or request[0] != "POST" and request[1] != "/stream":
            both.ask(*request)


@pytest.mark.parametrize(
    "layers",
    [
        (stamps, CORS, GZIP), (CORS, stamps), (GZIP, stamps), (CORS, GZIP, stamps, GZIP), (stamps, sets_context),
        (catches, fails_after), (works_later, CORS, replaces), (stamps, CORS, in_time, GZIP, keeps_state),
        (GZIP, answers_itself, CORS), (reads_body, reads_body), (in_time, wraps_iterator),
    ],
    ids=lambda layers: ", ".join(getattr(layer, "__name__", "") or layer.cls.__name__ for layer in layers),
)  # fmt: skip
def test_layers_around_each_other(pair: Any, layers: tuple[Any, ...]) -> None:
    both = pair(stack(*layers))
    for request in REQUESTS:
        both.ask(*request)


@pytest.mark.parametrize(
    "layers",
    [
        (FOREIGN,), (FOREIGN, CORS, GZIP), (FOREIGN, stamps), (stamps, FOREIGN, CORS), (GZIP, FOREIGN, FOREIGN, sets_context),
        (Middleware(Foreign, refuse="http.response.start"), CORS), (Middleware(Foreign, refuse="http.response.body"), stamps),
        (CORS, FOREIGN, catches, CORS, fails_after), (FOREIGN, another_path), (FOREIGN, GZIP, stamps),
    ],
    ids=lambda layers: ", ".join(getattr(layer, "__name__", "") or layer.cls.__name__ for layer in layers),
)  # fmt: skip
def test_behind_middleware_that_is_not_known(pair: Any, layers: tuple[Any, ...]) -> None:
    both = pair(stack(*layers))
    for request in REQUESTS:
        both.ask(*request)
    inner = next(layer for layer in reversed(stacked(both.apps[0])) if type(layer) is Foreign)
    assert type(inner.app) is Inside


def stacked(app: Any) -> list[Any]:
    found: list[Any] = []
    at = app.middleware_stack
    while hasattr(at, "app") and at is not app.router:
        found.append(at)
        at = at.app
    return found


def test_the_layers_inside_are_not_gone_through(pair: Any) -> None:
    def make() -> FastAPI:
        app = FastAPI(middleware=[FOREIGN, CORS])

        @app.get("/")
        async def page() -> Any:
            return any("asyncexitstack" in frame.f_code.co_filename for frame, _ in traceback.walk_stack(None))

        return app

    both = pair(make)
    assert [server.ask("GET", "/").body for server in both.servers] == [b"false", b"true"]


@pytest.mark.parametrize("layers", [(too_late,), (stamps, too_late, CORS), (catches, too_late, stamps)])
def test_a_deadline_is_not_for_what_is_inside(pair: Any, layers: tuple[Any, ...]) -> None:
    both = pair(stack(*layers))
    both.ask("GET", "/waits")


def test_the_decorator_and_a_subclass(pair: Any) -> None:
    class Counted(BaseHTTPMiddleware):
        def __init__(self, app: Any, name: str) -> None:
            super().__init__(app)
            self.name, self.count = name, 0

        async def dispatch(self, request: Request, call_next: Any) -> Response:
            self.count += 1
            response = await call_next(request)
            response.headers["x-count"] = f"{self.name} {self.count}"
            return response  # type: ignore[no-any-return]

    def make() -> FastAPI:
        app = stack()()
        app.middleware("http")(stamps)
        app.add_middleware(Counted, name="outer")
        return app

    both = pair(make)
    for request in REQUESTS:
        both.ask(*request)


def test_no_task_is_made_for_what_is_one_response(pair: Any) -> None:
    tasks: list[Any] = []

    async def counted(request: Request, call_next: Any) -> Response:
        before = len(asyncio.all_tasks())
        response = await call_next(request)
        tasks.append(len(asyncio.all_tasks()) - before)
        return response  # type: ignore[no-any-return]

    both = pair(stack(counted, CORS))
    both.ask("GET", "/value/a")
    ours, theirs = tasks
    assert ours == 0 < theirs


def test_a_replaced_call_is_called(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    both = pair(stack(stamps))
    calls: list[str] = []
    original = BaseHTTPMiddleware.__call__

    async def replaced(self: Any, scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope["path"])
        await original(self, scope, receive, send)

    monkeypatch.setattr(BaseHTTPMiddleware, "__call__", replaced)
    both.ask("GET", "/value/a")
    assert calls == ["/value/a", "/value/a"]


def test_a_starlette_app(pair: Any) -> None:
    async def page(request: Request) -> Response:
        return PlainTextResponse(f"{request.path_params} {variable.get()}")

    def make() -> Any:
        app = Starlette(middleware=[Middleware(BaseHTTPMiddleware, dispatch=sets_context), CORS])
        app.add_route("/page/{name:path}", page)
        return app

    both = pair(make)
    both.ask("GET", "/page/a/b", [(b"origin", b"https://a.example")])
    both.ask("POST", "/page/a")
