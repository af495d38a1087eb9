"""An app that changes while it is served answers as it does without freelane, from the next request on.

Each change is made to two equal apps, one served by freelane's scheduler and one plain.
"""

from __future__ import annotations

import gzip
import json
import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import fastapi.routing
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from fastapi.security import OAuth2PasswordBearer
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from compat_tests.scheduled import Server
from freelane.adapters.compat import fastapi_gate, versions

pytestmark = pytest.mark.thread_unsafe(reason="each test has a loop and its threads")

Change = Callable[[FastAPI], None]
bearer = OAuth2PasswordBearer(tokenUrl="token")


class Item(BaseModel):
    name: str
    size: int = 1


class Failed(Exception):
    pass


def page(skip: int = 0) -> dict[str, int]:
    return {"skip": skip}


async def page_async(values: Annotated[dict[str, int], Depends(page)]) -> dict[str, int]:
    return {**values, "async": 1}


def make(**options: Any) -> FastAPI:
    """Routes of the kinds that may be compiled, on the app, on a router and on a sub-app."""
    app = FastAPI(**options)
    router = APIRouter(prefix="/in")
    sub = FastAPI()
    for target in (app, router, sub):
        add_routes(target)
    app.include_router(router)
    app.mount("/sub", sub)
    app.state.router, app.state.sub = router, sub
    return app


def add_routes(target: FastAPI | APIRouter) -> None:
    @target.get("/def", response_model=None)
    def plain(n: int = 1) -> dict[str, int]:
        return {"n": n}

    @target.get("/async/{value}", response_model=None)
    async def by_path(value: int) -> dict[str, int]:
        return {"value": value}

    @target.get("/depends", response_model=None)
    def depends(values: Annotated[dict[str, int], Depends(page_async)]) -> dict[str, int]:
        return values

    @target.get("/secret", response_model=None)
    async def secret(token: Annotated[str, Depends(bearer)]) -> str:
        return token

    @target.post("/item")
    async def item(item: Item) -> Item:
        return item

    @target.get("/fail", response_model=None)
    def fail() -> None:
        raise Failed("as asked")

    @target.get("/raise", response_model=None)
    async def raises() -> None:
        raise HTTPException(409, "as asked")


class Compared:
    """Two equal apps: one plain, one served by freelane's scheduler."""

    def __init__(self, factory: Callable[[], FastAPI]) -> None:
        self.apps = factory(), factory()
        self.client = TestClient(self.apps[0], raise_server_exceptions=False, follow_redirects=False)
        self.client.__enter__()
        self.server = Server(self.apps[1])

    def change(self, change: Change) -> None:
        for app in self.apps:
            change(app)

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, content: bytes = b"") -> tuple[int, bytes]:
        """The one answer of both."""
        expected = self.client.request(method, path, headers=headers, content=content)
        pairs = [(name.encode(), value.encode()) for name, value in {"host": "testserver", **(headers or {})}.items()]
        got = self.server.ask(method, path, pairs, content)
        wanted = [(name.decode().lower(), value.decode("latin-1")) for name, value in expected.headers.raw]
        assert (got.status, got.headers, got.body) == (expected.status_code, wanted, expected.content), path
        return got.status, got.body

    def ask_all(self) -> list[tuple[int, bytes]]:
        return [self.ask(*request) for request in EVERYTHING]

    def close(self) -> None:
        self.server.close()
        self.client.__exit__(None, None, None)


_JSON = {"content-type": "application/json"}
REQUESTS: list[tuple[Any, ...]] = [
    ("GET", "/def"),
    ("GET", "/def?n=x"),
    ("GET", "/async/5"),
    ("GET", "/async/x"),
    ("GET", "/depends?skip=2"),
    ("GET", "/secret", {"authorization": "Bearer t"}),
    ("GET", "/secret"),
    ("POST", "/item", _JSON, b'{"name": "n"}'),
    ("POST", "/item", _JSON, b"{"),
    ("GET", "/fail"),
    ("GET", "/raise"),
    ("PUT", "/def"),
    ("GET", "/def/"),
    ("GET", "/nowhere"),
    ("GET", "/openapi.json"),
]
EVERYTHING = [(method, prefix + path, *more) for prefix in ("", "/in", "/sub") for method, path, *more in REQUESTS]


@pytest.fixture
def compare() -> Iterator[Callable[..., Compared]]:
    made: list[Compared] = []

    def start(factory: Callable[[], FastAPI] = make) -> Compared:
        made.append(Compared(factory))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_unchanged(compare: Callable[..., Compared]) -> None:
    assert {status for status, _ in compare().ask_all()} == {200, 307, 401, 404, 405, 409, 422, 500}


# Changes of the routes.


def added(app: FastAPI) -> None:
    app.get("/new")(lambda n: {"n": n})
    app.get("/new/async/{n}", response_model=None)(new_async)


async def new_async(n: int) -> dict[str, int]:
    return {"new": n}


def added_to_router(app: FastAPI) -> None:
    app.state.router.get("/new", response_model=None)(new_async)


def added_to_sub(app: FastAPI) -> None:
    app.state.sub.get("/new", response_model=None)(new_async)


def included(app: FastAPI) -> None:
    router = APIRouter(prefix="/late", dependencies=[Depends(page)])
    add_routes(router)
    app.include_router(router)


def inserted(app: FastAPI) -> None:
    app.router.routes.insert(0, APIRoute("/def", new_async, response_model=None))


def removed(app: FastAPI) -> None:
    del app.router.routes[[getattr(route, "path", "") for route in app.router.routes].index("/def")]


def replaced(app: FastAPI) -> None:
    removed(app)
    app.get("/def", response_model=None)(new_async)


def emptied(app: FastAPI) -> None:
    app.router.routes.clear()


def listed_anew(app: FastAPI) -> None:
    app.router.routes = [APIRoute("/def", new_async, response_model=None)]


def reversed_order(app: FastAPI) -> None:
    app.get("/{anything}")(lambda anything: anything)
    app.router.routes.reverse()


def mounted(app: FastAPI) -> None:
    app.mount("/in", make())


def starlette_route(app: FastAPI) -> None:
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("a route of Starlette's")

    app.router.routes.insert(0, Route("/def", endpoint))


def slashes_kept(app: FastAPI) -> None:
    app.router.redirect_slashes = False


def own_default(app: FastAPI) -> None:
    async def default(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("default", 418)(scope, receive, send)

    app.router.default = default


# Changes of one route.


def route_of(app: FastAPI, path: str) -> Any:
    return next(route for route in app.routes if getattr(route, "path", "") == path)


def endpoint_set(app: FastAPI) -> None:
    route_of(app, "/def").endpoint = new_async


def call_set(app: FastAPI) -> None:
    route_of(app, "/def").dependant.call = lambda n: {"called": n}


def app_set(app: FastAPI) -> None:
    route_of(app, "/def").app = PlainTextResponse("an app")


def method_added(app: FastAPI) -> None:
    route_of(app, "/def").methods.add("PUT")


def handle_set(app: FastAPI) -> None:
    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("handled")(scope, receive, send)

    route_of(app, "/def").handle = handle


def matches_set(app: FastAPI) -> None:
    route_of(app, "/def").matches = lambda scope: (Match.NONE, {})


def default_changed(app: FastAPI) -> None:
    route_of(app, "/def").dependant.query_params.clear()


# Changes of the app.


async def tell(request: Request, error: Exception) -> Response:
    return JSONResponse({"told": type(error).__name__}, 499)


def handlers_added(app: FastAPI) -> None:
    app.add_exception_handler(Failed, tell)
    app.add_exception_handler(HTTPException, tell)
    app.add_exception_handler(RequestValidationError, tell)
    app.add_exception_handler(404, tell)
    app.add_exception_handler(500, tell)


def handlers_added_and_rebuilt(app: FastAPI) -> None:
    handlers_added(app)
    app.middleware_stack = app.build_middleware_stack()


def rebuilt(app: FastAPI) -> None:
    app.middleware_stack = app.build_middleware_stack()


def wrapped(app: FastAPI) -> None:
    app.middleware_stack = Marked(app.middleware_stack)  # type: ignore[arg-type]


def debugged(app: FastAPI) -> None:
    app.debug = True


def root_path_set(app: FastAPI) -> None:
    app.root_path = "/root"


def openapi_overridden(app: FastAPI) -> None:
    app.openapi = lambda: {"own": True}  # type: ignore[method-assign]


def router_called(app: FastAPI) -> None:
    """What some tools do to see every request."""
    original = app.router.app

    async def seen(scope: Scope, receive: Receive, send: Send) -> None:
        scope["path"] = scope["path"].replace("/def", "/depends")
        await original(scope, receive, send)

    app.router.middleware_stack = seen


class Marked:
    """Pure ASGI middleware: adds a header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-marked", b"1")]
            await send(message)

        await self.app(scope, receive, marked)


CHANGES: list[Change] = [
    added, added_to_router, added_to_sub, included, inserted, removed, replaced, emptied, listed_anew, reversed_order,
    mounted, starlette_route, slashes_kept, own_default, endpoint_set, call_set, app_set, method_added,
    handle_set, matches_set, default_changed, handlers_added, handlers_added_and_rebuilt, rebuilt, wrapped, debugged,
    root_path_set, openapi_overridden, router_called,
]  # fmt: skip
# What answers the change itself, beside everything else.
NEW = [("GET", path) for path in ("/new?n=1", "/new", "/new/async/3", "/in/new?n=2", "/sub/new?n=3", "/late/def", "/word")]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changed_after_the_first_requests(compare: Callable[..., Compared], change: Change) -> None:
    compared = compare()
    compared.ask_all()
    compared.change(change)
    compared.ask_all()
    for request in NEW:
        compared.ask(*request)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changed_before_the_first_request(compare: Callable[..., Compared], change: Change) -> None:
    compared = compare()
    compared.change(change)
    compared.ask_all()


# Dependency overrides.


def other_page(size: int, skip: str = "none") -> dict[str, Any]:
    return {"size": size, "skip": skip}


async def other_async(request: Request) -> dict[str, Any]:
    return {"path": request.url.path}


def yielding() -> Iterator[dict[str, Any]]:
    yield {"yielded": 1}


def refusing() -> None:
    raise HTTPException(403, "overridden")


class Made:
    def __init__(self, size: Annotated[int, Query(ge=3)]) -> None:
        self.size = size


OVERRIDES = [other_page, other_async, yielding, refusing, Made, lambda: {"fixed": True}, lambda q: q]


@pytest.mark.parametrize("original", [page, page_async, bearer], ids=["page", "page_async", "bearer"])
@pytest.mark.parametrize("override", OVERRIDES, ids=range(len(OVERRIDES)))
def test_override_is_set_and_cleared(compare: Callable[..., Compared], original: Any, override: Any) -> None:
    compared = compare()
    before = compared.ask_all()

    def overridden(app: FastAPI) -> None:
        app.dependency_overrides[original] = override
        app.state.sub.dependency_overrides[original] = override

    compared.change(overridden)
    assert compared.ask_all() != before
    for query in ("", "?size=1", "?size=5&q=x"):
        for path in ("/depends", "/in/depends", "/sub/depends"):
            compared.ask("GET", path + query)
    compared.change(lambda app: app.dependency_overrides.clear())
    compared.change(lambda app: app.state.sub.dependency_overrides.clear())
    assert compared.ask_all() == before


def test_overrides_replaced_as_a_whole(compare: Callable[..., Compared]) -> None:
    compared = compare()
    compared.ask_all()
    compared.change(lambda app: setattr(app, "dependency_overrides", {page: lambda: {"whole": 1}}))
    assert compared.ask("GET", "/in/depends")[1] == b'{"whole":1,"async":1}'
    compared.ask_all()
    compared.change(lambda app: setattr(app, "dependency_overrides", {}))
    compared.ask_all()


def test_override_of_the_app_does_not_reach_its_sub_app(compare: Callable[..., Compared]) -> None:
    compared = compare()
    compared.change(lambda app: app.dependency_overrides.update({page: lambda: {"skip": 9}}))
    assert compared.ask("GET", "/sub/depends")[1] == b'{"skip":0,"async":1}'


# Middleware.


def with_function(app: FastAPI) -> None:
    @app.middleware("http")
    async def stamped(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-stamped"] = request.url.path
        return response


def with_two(app: FastAPI) -> None:
    with_function(app)
    app.add_middleware(Marked)


MIDDLEWARE: list[Change] = [
    with_function,
    lambda app: app.add_middleware(Marked),
    lambda app: app.add_middleware(CORSMiddleware, allow_origins=["*"]),
    with_two,
]


@pytest.mark.parametrize("change", MIDDLEWARE, ids=["function", "pure", "cors", "two"])
@pytest.mark.parametrize("where", ["app", "sub"])
def test_middleware_is_in_force(compare: Callable[..., Compared], change: Change, where: str) -> None:
    def factory() -> FastAPI:
        app = make()
        change(app if where == "app" else app.state.sub)
        return app

    compared = compare(factory)
    compared.ask_all()
    compared.ask("GET", "/def", {"origin": "http://a.test"})
    compared.ask("OPTIONS", "/sub/def", {"origin": "http://a.test", "access-control-request-method": "GET"})


def test_middleware_after_the_start_is_refused_as_ever(compare: Callable[..., Compared]) -> None:
    for app in compare().apps:
        with pytest.raises(RuntimeError, match="Cannot add middleware"):
            app.add_middleware(Marked)


# Classes of the app's own.


class Timed(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Any]:
        original = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                response = await original(request)
            except RequestValidationError as exc:
                return JSONResponse({"count": len(exc.errors())}, 400)
            response.headers["x-timed"] = "yes"
            return response

        return handler


class Unzipped(Request):
    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            body = await super().body()
            self._body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        return self._body


class UnzippedRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Any]:
        original = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await original(Unzipped(request.scope, request.receive))

        return handler


class Picky(APIRoute):
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found, child = super().matches(scope)
        return (Match.NONE, {}) if b"skip" in scope.get("query_string", b"") else (found, child)


class Handling(APIRoute):
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["path_params"] = {**scope["path_params"], "value": "77"}
        await super().handle(scope, receive, send)


class Greeting(FastAPI):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/def":
            await PlainTextResponse("greeting")(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


class Spaced(JSONResponse):
    def render(self, content: Any) -> bytes:
        return json.dumps(content, indent=1).encode()


@pytest.mark.parametrize("kind", [Timed, UnzippedRoute, Picky, Handling])
def test_route_class(compare: Callable[..., Compared], kind: type[APIRoute]) -> None:
    def factory() -> FastAPI:
        app = FastAPI()
        app.router.route_class = kind
        add_routes(app)
        router = APIRouter(prefix="/in", route_class=kind)
        add_routes(router)
        app.include_router(router)
        return app

    compared = compare(factory)
    compared.ask_all()
    headers = {**_JSON, "content-encoding": "gzip"}
    compared.ask("POST", "/item", headers, gzip.compress(b'{"name": "zipped"}', mtime=0))


def test_app_class(compare: Callable[..., Compared]) -> None:
    def factory() -> FastAPI:
        app = Greeting()
        add_routes(app)
        return app

    compare(factory).ask_all()


def test_default_response_class(compare: Callable[..., Compared]) -> None:
    compare(lambda: make(default_response_class=Spaced)).ask_all()


# FastAPI's own functions replaced, as tracing tools do.


@pytest.mark.parametrize("name", ["run_endpoint_function", "serialize_response", "solve_dependencies"])
def test_function_of_fastapi_replaced(compare: Callable[..., Compared], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = compare()
    compared.ask_all()
    original, calls = getattr(fastapi.routing, name), []

    async def traced(**values: Any) -> Any:
        calls.append(name)
        return await original(**values)

    monkeypatch.setattr(fastapi.routing, name, traced)
    compared.client.get("/in/def")
    once = len(calls)
    compared.server.ask("GET", "/in/def")
    assert len(calls) == 2 * once > 0
    compared.ask_all()


# The way of JSON replaced, as apps do that like another library better.


def counting(calls: list[Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that does as ``function`` does, and is counted."""

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(function)
        return function(*args, **options)

    return counted


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("name", [*fastapi_gate.READS_JSON, *fastapi_gate.WRITES_JSON])
def test_json_replaced(compare: Callable[..., Compared], name: str, early: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    [(holder, attribute, original)] = [(*versions.place(name), versions.find(name))]
    value: Any = counting(calls, original)
    if original is json:
        value = types.SimpleNamespace(loads=counting(calls, json.loads), dumps=counting(calls, json.dumps))
    method, path, headers, content = ("GET", "/def", {}, b"")
    if name in fastapi_gate.READS_JSON:
        method, path, headers, content = ("POST", "/item", _JSON, b'{"name": "x"}')
    if early:
        monkeypatch.setattr(holder, attribute, value)
    compared = compare()
    compared.ask(method, path, headers, content)
    monkeypatch.setattr(holder, attribute, value)
    calls.clear()
    compared.client.request(method, path, headers=headers, content=content)
    once = len(calls)
    compared.ask(method, path, headers, content)
    assert len(calls) == 3 * once > 0
    monkeypatch.undo()
    calls.clear()
    compared.ask_all()
    assert calls == []
