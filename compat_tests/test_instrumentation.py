"""What a tool put in the place of a framework's function, before or after the start, is called as ever."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import BackgroundTasks, Body, Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.testclient import TestClient

from compat_tests.scheduled import Server
from freelane.adapters.compat import fastapi_gate, starlette_gate, versions
from freelane.fastcore.routing.watch import Watch

pytestmark = pytest.mark.thread_unsafe(reason="names of modules are replaced")


def starlette_app(**options: Any) -> Starlette:
    def plain(request: Request) -> Response:
        return PlainTextResponse(request.path_params["n"])

    async def plain_async(request: Request) -> Response:
        return JSONResponse(request.path_params)

    routes = [Route("/def/{n}", plain), Route("/async/{n}", plain_async)]
    mounts = [Mount("/router", Router(routes)), Mount("/app", Starlette(routes=routes))]
    return Starlette(routes=[*routes, *mounts], **options)


def wrapped_app() -> Starlette:
    return starlette_app(middleware=[Middleware(GZipMiddleware)])


def number() -> int:
    return 1


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/def/{n}")
    def plain(n: int, found: int = Depends(number)) -> dict[str, int]:
        return {"n": n}

    @app.get("/async/{n}", response_model=None)
    async def plain_async(n: int, found: int = Depends(number)) -> dict[str, int]:
        return {"n": n}

    @app.get("/router/def/{n}", response_model=None)
    def response(tasks: BackgroundTasks) -> Any:
        tasks.add_task(number)
        return JSONResponse({})

    @app.post("/post/{n}", response_model=None)
    def post(value: Any = Body()) -> Any:
        return value

    app.mount("/app", starlette_app())
    return app


REQUESTS = [("GET", f"{prefix}/{kind}/1") for prefix in ("", "/router", "/app") for kind in ("def", "async")] + [
    ("POST", "/post/1")
]
SEEN = [
    "starlette.background:BackgroundTasks.__call__",
    "starlette.requests:Request.__init__",
    "starlette.responses:PlainTextResponse.__init__",
    starlette_gate.RESPONSE,
]  # fmt: skip
STARLETTE = [*starlette_gate.AROUND, *starlette_gate.ROUTING, *starlette_gate.ENDPOINT, *starlette_gate.THREADS, *SEEN]
FASTAPI = [*fastapi_gate.AROUND, *fastapi_gate.ROUTING, *fastapi_gate.ENDPOINT, *fastapi_gate.THREADS]
NAMES = [
    *((starlette_app, name) for name in STARLETTE),
    *((wrapped_app, name) for name in STARLETTE),
    *((fastapi_app, name) for name in dict.fromkeys(STARLETTE + FASTAPI)),
]


@pytest.fixture
def replace(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Any]]:
    def replace(name: str) -> list[Any]:
        """Count the calls of ``name`` from now on."""
        holder, attribute = versions.place(name)
        old, calls = getattr(holder, attribute), []
        if inspect.iscoroutinefunction(old):

            @functools.wraps(old)
            async def counted(*args: Any, **options: Any) -> Any:
                calls.append(name)
                return await old(*args, **options)
        else:

            @functools.wraps(old, updated=())
            def counted(*args: Any, **options: Any) -> Any:
                calls.append(name)
                return old(*args, **options)

        monkeypatch.setattr(holder, attribute, counted)
        return calls

    return replace


class Twins:
    """Two equal apps, one plain and one served."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.client = TestClient(factory(), raise_server_exceptions=False)
        self.client.__enter__()
        self.server = Server(factory())

    def counts(self, calls: list[Any]) -> list[tuple[str, int, int]]:
        """For each request: how often it made the plain app, and the served one, call what is counted."""
        found = []
        for method, path in REQUESTS:
            content = b"{}" if method == "POST" else b""
            headers = {"content-type": "application/json"} if content else {}
            calls.clear()
            expected = self.client.request(method, path, headers=headers, content=content)
            once = len(calls)
            pairs = [(name.encode(), value.encode()) for name, value in {"host": "testserver", **headers}.items()]
            calls.clear()
            got = self.server.ask(method, path, pairs, content)
            assert (got.status, got.body) == (expected.status_code, expected.content), path
            found.append((path, once, len(calls)))
        return found

    def close(self) -> None:
        self.server.close()
        self.client.__exit__(None, None, None)


def different(name: str, counts: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """The requests that did not call ``name`` as often as they should."""
    # How many layers make a request object of their own is not what anybody counts.
    loose = name == "starlette.requests:Request.__init__"
    return [row for row in counts if (row[1] and not row[2] if loose else row[1] != row[2])]


@pytest.mark.parametrize(("factory", "name"), NAMES, ids=lambda value: getattr(value, "__name__", value))
def test_a_name_replaced_before_the_start_is_called(factory: Any, name: str, replace: Callable[[str], list[Any]]) -> None:
    if versions.find_optional(name) is None:
        pytest.skip("this release lacks it")
    calls = replace(name)
    twins = Twins(factory)
    try:
        counts = twins.counts(calls)
    finally:
        twins.close()
    assert different(name, counts) == []


@pytest.mark.parametrize("factory", [starlette_app, wrapped_app, fastapi_app])
def test_a_name_replaced_while_serving_is_called(
    factory: Any, replace: Callable[[str], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = Twins(factory)
    try:
        twins.counts([])
        for name in (name for made, name in NAMES if made is factory and versions.find_optional(name) is not None):
            assert different(name, twins.counts(replace(name))) == [], name
            monkeypatch.undo()
            twins.counts([])
    finally:
        twins.close()


def traced(function: Any) -> Any:
    """What error trackers do to every endpoint: a function of their own around it."""

    @functools.wraps(function)
    def around(*args: Any, **options: Any) -> Any:
        TRACED.append(function.__name__)
        return function(*args, **options)

    @functools.wraps(function)
    async def around_async(*args: Any, **options: Any) -> Any:
        TRACED.append(function.__name__)
        return await function(*args, **options)

    return around_async if inspect.iscoroutinefunction(function) else around


TRACED: list[str] = []


def test_a_function_around_the_endpoint_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette import routing

    old = routing.request_response
    monkeypatch.setattr(routing, "request_response", lambda function: old(traced(function)))
    twins = Twins(starlette_app)
    try:
        counts = twins.counts(TRACED)
        where = {path: twins.server.adapted for path, *_ in counts}
    finally:
        twins.close()
    assert where and [row for row in counts if row[1] != row[2]] == []
    assert sum(row[1] for row in counts) == 6


def test_an_app_around_a_route_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the name and module of what it wraps, and is known by its code all the same."""

    def around(route: Any) -> None:
        inner = route.app

        @functools.wraps(inner)
        async def app(scope: Any, receive: Any, send: Any) -> None:
            TRACED.append(route.path)
            await inner(scope, receive, send)

        route.app = app

    def factory() -> Starlette:
        made = starlette_app()
        around(made.routes[0])
        around(made.routes[1])
        return made

    twins = Twins(factory)
    try:
        counts = twins.counts(TRACED)
    finally:
        twins.close()
    assert [row[1:] for row in counts[:2]] == [(1, 1), (1, 1)]


class Base:
    def method(self) -> None: ...


class Derived(Base): ...


def test_a_watch_sees_every_way_to_replace(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch([(Derived, "method"), (inspect, "isclass")])
    assert watch.holds() and watch.holds()
    for holder, name in ((Base, "method"), (Derived, "method"), (inspect, "isclass")):
        with monkeypatch.context() as patch:
            patch.setattr(holder, name, print, raising=False)
            assert not watch.holds()
            assert Watch([(Derived, "method"), (inspect, "isclass")]).holds()
        assert watch.holds()
