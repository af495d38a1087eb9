"""Pyre-style routes in front of an old app, and inside one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient as StarletteClient
from starlette.websockets import WebSocket

from freelane.adapters.pyre import Pyre
from freelane.adapters.pyre.testing import TestClient

pytestmark = pytest.mark.thread_unsafe(reason="one server for all of them")


def old_app(events: list[str]) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        events.append("old up")
        yield {"pool": "open"}
        events.append("old down")

    async def home(request: Request) -> JSONResponse:
        return JSONResponse({"old": request.url.path, "root": request.scope["root_path"], "pool": request.state.pool})

    def slow(request: Request) -> JSONResponse:
        return JSONResponse({"url": str(request.url_for("slow").path)})

    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text("old " + await ws.receive_text())
        await ws.close()

    async def post(request: Request) -> JSONResponse:
        return JSONResponse({"body": len(await request.body())})

    routes = [
        Route("/", home), Route("/users", home), Route("/users", post, methods=["POST"]), Route("/slow", slow, name="slow"),
        WebSocketRoute("/ws", echo),
    ]  # fmt: skip
    return Starlette(routes=routes, lifespan=lifespan)


def new_app(path: str, events: list[str]) -> Pyre:
    app = Pyre(openapi_url=None)
    app.on_startup(lambda: events.append("new up"))

    @app.on_shutdown
    async def down() -> None:
        events.append("new down")

    @app.get("/users/{id}")
    def user(id: int) -> Any:
        return {"new": id}

    @app.websocket("/ws/new")
    def ws(ws: Any) -> None:
        ws.send("new " + ws.recv())

    app.mount(path, old_app(events))
    return app


@pytest.fixture(scope="module", params=["/", "/legacy"])
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    events: list[str] = []
    with TestClient(new_app(request.param, events)) as client:
        client.prefix = request.param.rstrip("/")  # type: ignore[attr-defined]
        yield client
    assert events == ["old up", "new up", "new down", "old down"]


def prefix(client: TestClient) -> str:
    return client.prefix  # type: ignore[attr-defined,no-any-return]


def test_listed_routes_are_ours(client: TestClient) -> None:
    assert client.get("/users/5").json() == {"new": 5}


def test_everything_else_is_the_old_apps(client: TestClient) -> None:
    found = client.get(prefix(client) + "/users").json()
    assert found == {"old": prefix(client) + "/users", "root": prefix(client), "pool": "open"}
    assert client.post(prefix(client) + "/users", body=b"x" * 100_000).json() == {"body": 100_000}
    assert client.get(prefix(client) + "/nowhere").text == "Not Found"


def test_old_def_endpoint_makes_right_urls(client: TestClient) -> None:
    assert client.get(prefix(client) + "/slow").json() == {"url": prefix(client) + "/slow"}


def test_websockets_of_both(client: TestClient) -> None:
    from websockets.sync.client import connect

    for path, words in (("/ws/new", "new x"), (prefix(client) + "/ws", "old x")):
        with connect(f"ws://{client.host}:{client.port}{path}") as ws:
            ws.send("x")
            assert ws.recv(5) == words


def test_inside_a_starlette_app() -> None:
    app = Pyre()

    @app.get("/hello/{name}")
    def hello(req: Any) -> Any:
        return {"name": req.params["name"], "path": req.path}

    @app.websocket("/ws")
    def ws(ws: Any) -> None:
        ws.send(ws.path)

    outer = Starlette(routes=[Mount("/new", app)])
    client = StarletteClient(outer)
    assert client.get("/new/hello/bob?x=1").json() == {"name": "bob", "path": "/hello/bob"}
    assert client.get("/new/nowhere").json() == {"error": "not found"}
    with client.websocket_connect("/new/ws") as socket:
        assert socket.receive_text() == "/ws"


def test_mounted_app_whose_startup_fails_stops_ours() -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise RuntimeError("no database")
        yield

    app = Pyre()
    app.mount("/", Starlette(lifespan=lifespan))
    with pytest.raises(RuntimeError, match="did not start"):
        TestClient(app)


def test_app_without_lifespan_can_be_mounted() -> None:
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    app = Pyre()
    app.mount("/bare", bare)
    with TestClient(app) as client:
        assert client.get("/bare/x").text == "/bare/x"
        assert client.get("/barely").status_code == 404


def test_preflight_of_a_listed_route_is_ours() -> None:
    app = new_app("/", [])
    app.enable_cors()
    headers = {"origin": "https://a.example", "access-control-request-method": "GET"}
    with TestClient(app) as client:
        assert client.options("/users/5", headers=headers).status_code == 204
        assert client.options("/users", headers=headers).status_code == 405


def test_without_freelane_it_is_a_plain_asgi_app() -> None:
    import anyio

    app = Pyre()

    @app.get("/def")
    def plain(req: Any) -> str:
        return req.client_ip  # type: ignore[no-any-return]

    async def check() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            assert (await client.get("/def")).text == "127.0.0.1"

    anyio.run(check)
