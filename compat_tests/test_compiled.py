"""What is compiled, what is not and why, and that the fallback is taken where a condition breaks."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import fastapi.routing
import opentelemetry.trace
import pytest
from fastapi import APIRouter, Depends, FastAPI, Form, Header, Request
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router

from freelane.adapters.compat import fastapi_gate as fastapi_names
from freelane.adapters.compat import known, versions
from freelane.adapters.fastapi.plan import make_plan
from freelane.adapters.fastapi.reader import FastAPIReader
from freelane.adapters.registry import adapt
from freelane.adapters.starlette.plan import Entry, MountEntry, Plan
from freelane.adapters.starlette.routing import CompiledRouter
from freelane.fastcore.routing.guard import Guard

pytestmark = pytest.mark.thread_unsafe(reason="the apps are changed")


class Item(BaseModel):
    name: str
    size: int = 1


def plan(app: Any, path: str = "/") -> Plan:
    router = adapt(app).router  # type: ignore[attr-defined]
    (found,) = [entry.plan for row_path, *_, entry in router.whole().rows if row_path == path and type(entry) is Entry]
    return found


def one_route(endpoint: Callable[..., Any], **options: Any) -> FastAPI:
    app = FastAPI()
    app.add_api_route("/", endpoint, **options)
    return app


def page(skip: int = 0, limit: int = 10) -> dict[str, int]:
    return {"skip": skip, "limit": limit}


async def user(request: Request) -> str:
    return request.headers.get("user", "nobody")


def opened() -> Iterator[str]:
    yield "open"


async def asked(item_id: int = 1, q: str | None = None) -> dict[str, Any]:
    return {"item_id": item_id, "q": q}


def asked_def(item_id: int = 1, agent: str = Header("")) -> dict[str, Any]:
    return {"item_id": item_id, "agent": agent}


def depends(found: dict[str, int] = Depends(page)) -> dict[str, int]:
    return found


def depends_on_loop(found: str = Depends(user)) -> str:
    return found


def depends_on_generator(found: str = Depends(opened)) -> str:
    return found


def secured(token: str = Depends(OAuth2PasswordBearer("token"))) -> str:
    return token


async def takes_item(item: Item) -> Item:
    return item


def takes_item_def(item: Item) -> Item:
    return item


async def takes_form(name: str = Form()) -> str:
    return name


async def streams() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("endpoint", "lane", "direct", "body"),
    [
        (asked, "loop", True, False),
        (asked_def, "free", True, False),
        (depends, "free", True, False),
        (depends_on_loop, "loop", True, False),
        (depends_on_generator, "free", True, False),
        (secured, "free", True, False),
        (takes_item, "loop", True, True),
        (takes_item_def, "free", True, True),
        (takes_form, "loop", False, False),
    ],
)
def test_what_is_compiled_and_its_lane(endpoint: Callable[..., Any], lane: str, direct: bool, body: bool) -> None:
    found = plan(one_route(endpoint, methods=["POST"]))
    assert found.compiled and found.reason == ""
    assert (found.lane, found.call is not None, found.body) == (lane, direct, body)


class Wrapping(APIRoute):
    def get_route_handler(self) -> Callable[..., Any]:
        handler = super().get_route_handler()

        async def wrapped(request: Request) -> Any:
            return await handler(request)

        return wrapped


limits_bodies = pytest.mark.skipif(
    "max_body_size" not in inspect.signature(APIRoute).parameters, reason="this FastAPI does not limit bodies"
)


def test_a_streaming_endpoint_is_left_to_fastapi() -> None:
    found = plan(one_route(streams))
    assert not found.compiled and found.call is None
    assert found.reason == "it streams what its endpoint yields"


@limits_bodies
def test_a_route_with_a_body_limit_is_left_to_fastapi() -> None:
    app = FastAPI()
    app.router.routes.append(APIRoute("/", asked, max_body_size=10))
    found = plan(app)
    assert not found.compiled and found.call is None
    assert found.reason == "it has a max_body_size of its own"


def test_a_route_class_with_its_own_handler_keeps_it() -> None:
    app = FastAPI()
    app.router.route_class = Wrapping
    app.get("/")(asked)
    found = plan(app)
    assert not found.compiled and found.reason == "its handler is not FastAPI's own"


class Matching(APIRoute):
    def matches(self, scope: Any) -> Any:
        return super().matches(scope)


def test_a_route_class_that_matches_by_itself_ends_what_is_read() -> None:
    app = FastAPI(openapi_url=None)
    app.get("/before")(asked)
    app.router.route_class = Matching
    app.get("/")(asked)
    app.router.route_class = APIRoute
    app.get("/after")(asked)
    rows = adapt(app).router.whole().rows  # type: ignore[attr-defined]
    assert [path for path, *_ in rows] == ["/before"]


def test_included_routes_are_compiled_with_what_inclusion_adds() -> None:
    router = APIRouter(prefix="/inner", dependencies=[Depends(page)])
    router.get("/{item_id}")(asked_def)
    app = FastAPI()
    app.include_router(router, prefix="/outer")
    found = plan(app, "/outer/inner/{item_id}")
    assert found.compiled and found.lane == "free"
    assert "page" in found.call.made().source  # type: ignore[union-attr]


class Calls(FastAPI):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)


class OwnGZip(GZipMiddleware):
    pass


def with_router_middleware() -> FastAPI:
    app = FastAPI()
    app.router.middleware_stack = GZipMiddleware(app.router.app)
    return app


@pytest.mark.parametrize(
    ("make", "obstacle"),
    [
        (lambda: FastAPI(debug=True), "the app is in debug mode"),
        (lambda: FastAPI(middleware=[Middleware(OwnGZip)]), "OwnGZip runs around every endpoint"),
        (Calls, "Calls has a __call__ or build_middleware_stack of its own"),
    ],
)
def test_what_stands_around_every_endpoint(make: Callable[[], FastAPI], obstacle: str) -> None:
    app = make()
    app.get("/")(asked)
    adapted = adapt(app)
    assert adapted.obstacle == obstacle  # type: ignore[attr-defined]
    assert not adapted.direct
    # Behind the middleware the routes are compiled all the same.
    assert type(adapted.router) is CompiledRouter  # type: ignore[attr-defined]


def test_a_router_with_middleware_of_its_own_is_left_alone() -> None:
    adapted = adapt(with_router_middleware())
    assert adapted.router is None and not adapted.direct  # type: ignore[attr-defined]


@limits_bodies
def test_an_app_with_a_body_limit_is_left_alone() -> None:
    adapted = adapt(FastAPI(max_body_size=10))
    assert adapted.router is None and not adapted.direct  # type: ignore[attr-defined]


def test_a_tool_that_replaced_fastapis_functions_sees_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    router: CompiledRouter = adapt(one_route(asked)).router  # type: ignore[attr-defined]
    entry = router.find("GET", "/")[0]  # type: ignore[index]
    assert isinstance(entry, Entry) and entry.unchanged()

    async def traced(**values: Any) -> Any: ...

    with monkeypatch.context() as patch:
        patch.setattr(fastapi.routing, "solve_dependencies", traced)
        assert not entry.unchanged()
        plan = make_plan(entry.app)
        assert not plan.compiled and "solve_dependencies" in plan.reason
    assert entry.unchanged()


def test_a_tool_that_replaced_routing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    router: CompiledRouter = adapt(one_route(asked)).router  # type: ignore[attr-defined]

    async def traced(*values: Any) -> Any: ...

    with monkeypatch.context() as patch:
        patch.setattr(fastapi.routing.APIRoute, "handle", traced)
        assert router.find("GET", "/") is None
        assert router.find("GET", "/") is None
    router.find("GET", "/")  # reads the routes again
    assert router.find("GET", "/") is not None


def add_route(app: FastAPI) -> None:
    app.get("/more")(asked)


def replace_call(app: FastAPI) -> None:
    app.routes[-1].dependant.call = page  # type: ignore[attr-defined]


def replace_app(app: FastAPI) -> None:
    app.routes[-1].app = PlainTextResponse("new")  # type: ignore[attr-defined]


def replace_endpoint(app: FastAPI) -> None:
    app.routes[-1].endpoint = page  # type: ignore[attr-defined]


def replace_handle(app: FastAPI) -> None:
    app.routes[-1].handle = PlainTextResponse("new")  # type: ignore[method-assign]


def add_dependency(app: FastAPI) -> None:
    app.routes[-1].dependant.dependencies.append(app.routes[-1].dependant)  # type: ignore[attr-defined]


def replace_route(app: FastAPI) -> None:
    app.router.routes[-1] = APIRoute("/", page)


@pytest.mark.parametrize(
    "change",
    [add_route, replace_call, replace_app, replace_endpoint, replace_handle, add_dependency, replace_route],
    ids=lambda change: change.__name__,
)
def test_a_change_is_noticed_at_the_next_request(change: Callable[[FastAPI], None]) -> None:
    app = one_route(asked)
    router: CompiledRouter = adapt(app).router  # type: ignore[attr-defined]
    entry, _ = router.find("GET", "/")  # type: ignore[misc]
    assert isinstance(entry, Entry) and entry.unchanged()
    change(app)
    found = router.find("GET", "/")
    assert found is None or not found[0].unchanged()  # type: ignore[union-attr]


def test_the_table_is_made_again_after_a_change() -> None:
    app = one_route(asked)
    router: CompiledRouter = adapt(app).router  # type: ignore[attr-defined]
    add_route(app)
    assert router.find("GET", "/more") is None
    assert router.find("GET", "/more") is not None


def hello(request: Any) -> Response:
    return PlainTextResponse("hello")


class Endpoint(HTTPEndpoint):
    def get(self, request: Any) -> Response:
        return PlainTextResponse("class")


def test_starlette_routes() -> None:
    async def hello_async(request: Any) -> Response:
        return PlainTextResponse("hello")

    app = Starlette(
        routes=[
            Route("/def", hello),
            Route("/async", hello_async),
            Route("/class", Endpoint),
            Mount("/mount", routes=[Route("/def", hello)]),
            Mount("/app", app=Starlette(routes=[Route("/def", hello)])),
            Host("other.example", app=Router([Route("/host", hello)])),
            Route("/after", hello),
        ]
    )
    assert plan(app, "/def").lane == "free"
    assert plan(app, "/async").lane == "loop"
    assert not plan(app, "/class").compiled
    rows = adapt(app).router.whole().rows  # type: ignore[attr-defined]
    # A host may match any path, so what follows one is found by Starlette.
    assert [path for path, *_ in rows] == ["/def", "/async", "/class", "/mount", "/app"]
    mount = rows[3][3]
    assert type(mount) is MountEntry and type(mount.app) is CompiledRouter


def test_a_response_class_is_used_as_it_is() -> None:
    found = plan(one_route(asked_def, response_class=HTMLResponse))
    assert found.compiled and found.lane == "free"


CHANGED = {"fastapi": "fastapi.routing:get_request_handler", "starlette": "starlette.routing:Route.matches"}


@pytest.mark.parametrize("package", CHANGED)
def test_a_release_that_changed_a_function_is_served_by_its_own_code_and_said_once(
    package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []
    table = known.KNOWN[package] | {CHANGED[package]: {"as it was": "0.1.0"}}
    monkeypatch.setitem(known.KNOWN, package, table)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(versions, "changed_functions", versions.changed_functions.__wrapped__)
    monkeypatch.setattr(versions, "told", set())
    monkeypatch.setattr(versions.logger, "warning", lambda text, *values: said.append(text % values))
    for _ in range(2):
        adapted = adapt(one_route(asked))
        assert adapted.router is None and not adapted.direct  # type: ignore[attr-defined]
        assert adapted.bind(None) is None
        assert [(row.compiled, row.reason.partition(" has ")[2]) for row in adapted.describe()][-1] == (  # type: ignore[attr-defined]
            False, f"changed {CHANGED[package]}"
        )  # fmt: skip
    assert len(said) == 1 and f" has changed {CHANGED[package]}: its own code" in said[0]


def test_a_name_that_moved_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastapi_names, "PRIVATE", ("fastapi.routing:gone",))
    assert fastapi_names.obstacle().endswith("has moved fastapi.routing:gone")


def test_a_telemetry_provider_set_later_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    app = one_route(asked)
    reader = FastAPIReader()
    guard = Guard(watches=[versions.watch(reader.watched_globals)])
    assert guard.holds() and reader.watched(app) == ""
    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", opentelemetry.trace.NoOpTracerProvider())
    assert not guard.holds()
    assert adapt(app).obstacle == "OpenTelemetry is on"  # type: ignore[attr-defined]


def test_an_observed_request_takes_fastapis_own_path() -> None:
    assert not FastAPIReader().routes_silently({"fastapi.telemetry": object()})
    assert FastAPIReader().routes_silently({})
