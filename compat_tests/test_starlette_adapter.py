"""`def` endpoints without the loop: only where the answer cannot differ, and never elsewhere."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio.from_thread
import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from compat_tests.scheduled import Server
from freelane.adapters.registry import adapt
from freelane.fastcore.threads.executor import Executor
from freelane.fastcore.threads.loop_queue import LoopQueue

pytestmark = pytest.mark.thread_unsafe(reason="each test has a loop and its threads")

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def serve() -> Iterator[Any]:
    servers: list[Server] = []

    def make(app: Any, **options: Any) -> Server:
        servers.append(Server(app, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def where(request: Request) -> Response:
    return JSONResponse({"loop": threading.current_thread().name, "params": request.path_params})


async def where_async(request: Request) -> Response:
    return PlainTextResponse(threading.current_thread().name)


def test_def_endpoint_runs_on_the_calling_thread(serve: Any) -> None:
    server = serve(Starlette(routes=[Route("/{n:int}", where)]))
    assert server.adapted.direct
    answer = server.ask("GET", "/12")
    assert b'"params":{"n":12}' in answer.body
    assert server.thread.name not in answer.body.decode()
    assert server.lane.posted == 0


def test_async_endpoint_runs_on_the_loop(serve: Any) -> None:
    server = serve(Starlette(routes=[Route("/", where_async), Route("/def", where)]))
    assert server.ask("GET", "/").body.decode() == server.thread.name


def plain() -> list[Any]:
    return [Route("/", where)]


class OwnGZip(GZipMiddleware):
    pass


class Custom(Starlette):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)


@pytest.mark.parametrize(
    "app",
    [
        lambda: Starlette(routes=plain(), middleware=[Middleware(OwnGZip)]),
        lambda: Starlette(routes=plain(), debug=True),
        lambda: Starlette(routes=plain(), max_body_size=10_000),
        lambda: Custom(routes=plain()),
        lambda: Starlette(routes=[Route("/", where, middleware=[Middleware(GZipMiddleware)])]),
        lambda: Starlette(routes=[Mount("/", routes=plain())]),
    ],
    ids=["middleware", "debug", "max_body_size", "subclass", "route middleware", "mount"],
)
def test_falls_back_where_other_code_runs(serve: Any, app: Any) -> None:
    server = serve(app())
    assert server.ask("GET", "/").status == 200
    assert server.lane.posted > 0


def test_earlier_routes_of_other_kinds_still_win(serve: Any) -> None:
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("mounted")(scope, receive, send)

    routes = [Mount("/api", app=mounted), Route("/a/{x}", where_async), Route("/api/x", where), Route("/a/b", where)]
    server = serve(Starlette(routes=routes))
    assert server.ask("GET", "/api/x").body == b"mounted"
    assert server.ask("GET", "/a/b").body.decode() == server.thread.name


@pytest.mark.parametrize(
    "change",
    [
        lambda app: app.router.routes.insert(0, Route("/", where_async)),
        lambda app: app.router.routes.__setitem__(0, Route("/", where_async)),
        lambda app: setattr(app, "middleware_stack", GZipMiddleware(app.middleware_stack)),
        lambda app: setattr(app.router.routes[0], "endpoint", where_async),
    ],
    ids=["route added", "route replaced", "stack replaced", "endpoint replaced"],
)
def test_a_change_after_start_is_seen_at_once(serve: Any, change: Any) -> None:
    app = Starlette(routes=[Route("/", where)])
    server = serve(app)
    server.ask("GET", "/")
    assert server.lane.posted == 0
    change(app)
    assert server.ask("GET", "/").status == 200
    assert server.lane.posted > 0


def failing(request: Request) -> Response:
    raise HTTPException(418, "tea", headers={"x-pot": "yes"})


def broken(request: Request) -> Response:
    raise ValueError("broken")


def background(request: Request) -> Response:
    return PlainTextResponse("ok", background=BackgroundTask(request.app.state.done.set))


def streamed(request: Request) -> Response:
    return StreamingResponse(iter([b"a", b"b"]))


def latin(request: Request) -> Response:
    return PlainTextResponse("x", headers={"x-name": "café"})


async def on_value_error(request: Request, exc: Exception) -> Response:
    return PlainTextResponse(f"{exc} handled on {threading.current_thread().name}", 400)


def test_what_needs_the_loop_goes_there(serve: Any) -> None:
    routes = [Route(f"/{f.__name__}", f) for f in (failing, broken, background, streamed, latin)]
    app = Starlette(routes=routes, exception_handlers={ValueError: on_value_error})
    app.state.done = threading.Event()
    server = serve(app)
    answer = server.ask("GET", "/failing")
    assert (answer.status, answer.body, ("x-pot", "yes") in answer.headers) == (418, b"tea", True)
    assert server.ask("GET", "/broken").body.decode() == f"broken handled on {server.thread.name}"
    assert server.ask("GET", "/background").body == b"ok"
    assert app.state.done.wait(120)
    assert server.ask("GET", "/streamed").body == b"ab"
    assert server.ask("GET", "/latin").status == 500  # RSGI cannot carry it, and says so
    assert "--transport asgi" in str(server.errors[-1])


def test_unhandled_exception_is_logged_and_a_500(serve: Any) -> None:
    server = serve(Starlette(routes=[Route("/", broken)]))
    assert server.ask("GET", "/").status == 500
    assert isinstance(server.errors[0], ValueError)


def test_head_and_method_not_allowed(serve: Any) -> None:
    server = serve(Starlette(routes=[Route("/", where)]))
    head = server.ask("HEAD", "/")
    assert (head.status, head.chunks) == (200, [])
    assert int(dict(head.headers)["content-length"]) > 0
    assert server.ask("POST", "/").status == 405


def test_each_call_has_a_context_of_its_own(serve: Any) -> None:
    def endpoint(request: Request) -> Response:
        before = variable.get()
        variable.set("changed")
        return PlainTextResponse(before)

    server = serve(Starlette(routes=[Route("/", endpoint)]))
    assert [server.ask("GET", "/").body for _ in range(3)] == [b"unset"] * 3


@pytest.mark.parametrize("middleware", [[], [Middleware(GZipMiddleware)]], ids=["direct", "through the loop"])
def test_anyio_from_thread_works(serve: Any, middleware: Any) -> None:
    def endpoint(request: Request) -> Response:
        data = anyio.from_thread.run(request.body)
        name = anyio.from_thread.run_sync(lambda: threading.current_thread().name)
        return PlainTextResponse(data + name.encode())

    server = serve(Starlette(routes=[Route("/", endpoint, methods=["POST"])], middleware=middleware))
    assert server.ask("POST", "/", content=b"data ").body.decode() == f"data {server.thread.name}"


@pytest.mark.parametrize("middleware", [[], [Middleware(GZipMiddleware)]], ids=["direct", "through the loop"])
def test_past_the_bound_the_answer_is_503(serve: Any, middleware: Any) -> None:
    release = threading.Event()

    def endpoint(request: Request) -> Response:
        release.wait(120)
        return PlainTextResponse("ok")

    server = serve(Starlette(routes=[Route("/", endpoint)], middleware=middleware), limit=1, backlog=1)
    answers = [server.begin("GET", "/")]
    deadline = time.monotonic() + 120
    while server.executor.busy_slots < 1 and time.monotonic() < deadline:
        time.sleep(0.002)
    answers.append(server.begin("GET", "/"))
    while server.executor.queued < 1 and time.monotonic() < deadline:
        time.sleep(0.002)
    refused = server.ask("GET", "/")
    assert (refused.status, dict(refused.headers)["retry-after"]) == (503, "1")
    release.set()
    assert [answer().body for answer in answers] == [b"ok", b"ok"]


def test_class_endpoints_are_left_alone(serve: Any) -> None:
    class Endpoint(HTTPEndpoint):
        def get(self, request: Request) -> Response:
            return PlainTextResponse("class")

    server = serve(Starlette(routes=[Route("/", Endpoint)]))
    assert server.ask("GET", "/").body == b"class"


def test_the_app_still_works_in_a_test_client() -> None:
    app = Starlette(routes=[Route("/", where)])
    loop = asyncio.new_event_loop()
    adapt(app, Executor(1), LoopQueue(loop))
    assert TestClient(app).get("/").status_code == 200
    loop.close()


def test_anyios_limit_is_taken_over() -> None:
    loop = asyncio.new_event_loop()

    async def enlarge() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 77

    loop.run_until_complete(enlarge())
    executor = Executor(40)
    adapt(Starlette(routes=[Route("/", where)]), executor, LoopQueue(loop))
    assert executor.limit == 77
    loop.close()
