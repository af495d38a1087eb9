"""A route of the gil lane behind the app's own layers: these run once, here, and the endpoint has what they left for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from compat_tests.gil_servers import Answer, ask, pids
from compat_tests.servers import Server, running

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = '''
import contextvars
import os
import threading
import freelane
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute

effects = []
request_id = contextvars.ContextVar("request_id", default="none")

class User:
    def __init__(self, name): self.name = name

class Refused(Exception):
    def __init__(self, *, why, code): self.why, self.code = why, code

class Effects:
    """Counts, rewrites, and leaves things for the endpoint."""
    def __init__(self, app): self.app = app
    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        effects.append(scope["path"])
        scope = {**scope, "path": scope["path"].removeprefix("/v1"), "user": User("Ann"), "basket": {"old": 1},
                 "lock": threading.Lock()}
        scope["state"]["session"] = threading.Lock()
        scope["state"]["tags"] = ["mine"]
        token = request_id.set(f"id-{len(effects)}")
        async def sending(message):
            if message["type"] == "http.response.start":
                extra = [(b"x-basket", repr(scope["basket"]).encode()), (b"x-tags", repr(scope["state"]["tags"]).encode()),
                         (b"x-effects", str(len(effects)).encode()), (b"x-pid", str(os.getpid()).encode())]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)
        try:
            await self.app(scope, receive, sending)
        except Refused as exc:
            await PlainTextResponse(f"{exc.why} {exc.code} {type(exc.__cause__).__name__}", 402)(scope, receive, sending)
        finally:
            request_id.reset(token)

class Upper(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        request.state.dispatched = True
        response = await call_next(request)
        response.headers["x-seen"] = str(getattr(request.state, "answer", None))
        return response

def about(connection: HTTPConnection, **more):
    return {"pid": os.getpid(), "path": connection.url.path, "user": connection.scope["user"].name, "id": request_id.get(),
            "dispatched": getattr(connection.state, "dispatched", False), "client": connection.client is not None,
            "url": str(connection.url_for("item", n=3)), "params": dict(connection.path_params),
            "app": connection.app is app, **more}

@freelane.gil
async def item(request):
    request.scope["basket"]["new"] = 2
    request.state.tags.append("theirs")
    request.state.answer = 42
    return JSONResponse(about(request))
@freelane.gil
def item_def(request): return JSONResponse(about(request))
@freelane.gil
async def uncarried(request):
    try:
        request.state.session.acquire()
    except Exception as exc:
        return PlainTextResponse(f"{type(exc).__name__}: {exc}", 500)
@freelane.gil
async def refuses(request): raise Refused(why="no", code=7)
@freelane.gil
async def stream(request):
    async def parts():
        for n in range(5):
            yield b"%d" % n * 100_000
    return StreamingResponse(parts())
@freelane.gil
async def nothing(scope, receive, send): pass
class Nothing:
    async def __call__(self, scope, receive, send): pass
@freelane.gil
async def echo(request): return PlainTextResponse(await request.body())
@freelane.gil
async def talk(websocket):
    if "refuse" in websocket.query_params:
        await websocket.close()
        return
    await websocket.accept(subprotocol="chat" if "chat" in websocket.scope["subprotocols"] else None)
    await websocket.send_json(about(websocket))
    await websocket.send_text(await websocket.receive_text())
    await websocket.close(3001, "done")

class OwnRoute(Route):
    """Handles requests in a way of its own."""
    async def handle(self, scope, receive, send):
        await self.endpoint(scope, receive, send)
@freelane.gil
async def own(scope, receive, send): await PlainTextResponse(str(os.getpid()))(scope, receive, send)
class Own:
    async def __call__(self, scope, receive, send): await own(scope, receive, send)

async def here(request): return JSONResponse({"effects": len(effects), "pid": os.getpid()})
own_route = OwnRoute("/own", freelane.gil(Own()))
routes = [Route("/item/{n:int}", item, name="item"), Route("/item-def/{n:int}", item_def), Route("/refuses", refuses),
          Route("/uncarried", uncarried), Route("/stream", stream), Route("/here", here),
          Route("/nothing", freelane.gil(Nothing())), Route("/echo", echo, methods=["POST"]), WebSocketRoute("/talk", talk)]
app = Starlette(routes=[Host("other.test", app=Router([Route("/elsewhere", item_def)])), *routes, own_route],
                middleware=[Middleware(Effects), Middleware(Upper)])
'''


@pytest.fixture(scope="module", params=["rsgi", "asgi"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("app")
    (directory / "shop.py").write_text(APP)
    with running(directory, "shop:app", "--gil-auto", "off", "--transport", request.param, "--show-lanes") as server:
        yield server


def effects(server: Server) -> int:
    return int(ask(server, "/here").json["effects"])


def in_lane(server: Server, answer: Answer) -> bool:
    return answer.json["pid"] in pids(server) and answer.json["pid"] != server.process.pid


@pytest.mark.parametrize("path", ["/item/3", "/v1/item/3", "/v1/item-def/3"])
def test_layers_run_once_and_the_endpoint_has_what_they_left(server: Server, path: str) -> None:
    before = effects(server)
    answer = ask(server, path)
    assert answer.status == 200, answer.body
    assert effects(server) == before + 2  # this request's, and the question's
    assert in_lane(server, answer)
    assert {**answer.json, "pid": 0} == {
        "pid": 0, "path": path.removeprefix("/v1"), "user": "Ann", "id": f"id-{before + 1}", "dispatched": True,
        "client": True, "url": f"http://127.0.0.1:{server.port}/item/3", "params": {"n": 3}, "app": True,
    }  # fmt: skip
    assert (answer.header("x-effects"), answer.header("x-pid")) == (str(before + 1), str(server.process.pid))
    assert answer.header("freelane-lane") == "gil"
    assert ask(server, "/here").header("freelane-lane") == "loop"


def test_what_the_endpoint_changes_comes_back_to_the_layers(server: Server) -> None:
    answer = ask(server, "/v1/item/3")
    assert answer.header("x-basket") == "{'old': 1, 'new': 2}"
    assert answer.header("x-tags") == "['mine', 'theirs']"
    assert answer.header("x-seen") == "42"


def test_what_cannot_be_carried_is_told_where_it_is_used_and_once_in_the_log(server: Server) -> None:
    words = "request.state.session (a _thread.lock) cannot be pickled, and so does not reach endpoints of the gil lane"
    for _ in range(2):
        answer = ask(server, "/uncarried")
        assert answer.status == 500 and words in answer.body.decode()
    server.wait_for(words)
    assert server.output().count(words) == 1


def test_an_exception_reaches_the_layer_that_waits_for_it(server: Server) -> None:
    answer = ask(server, "/v1/refuses")
    assert (answer.status, answer.body) == (402, b"no 7 LaneTraceback")


def test_a_stream_passes_the_layers(server: Server) -> None:
    assert ask(server, "/v1/stream").body == b"".join(b"%d" % n * 100_000 for n in range(5))


def test_an_app_that_answers_nothing_is_the_server_s_error(server: Server) -> None:
    assert ask(server, "/nothing").status == 500
    server.wait_for("No response returned.")  # as the innermost layer says, too
    assert "No response returned." in server.output()


@pytest.mark.parametrize("size", [0, 3, 70_000, 3_000_000])
def test_a_body_passes_the_layers(server: Server, size: int) -> None:
    assert ask(server, "/v1/echo", "POST", b"x" * size).body == b"x" * size


def test_a_method_or_path_that_the_app_has_not_is_its_own_answer(server: Server) -> None:
    assert ask(server, "/v1/echo").status == 405
    assert ask(server, "/v1/item/x").status == 404
    head = ask(server, "/v1/item/3", "HEAD")
    assert (head.status, head.body) == (200, b"") and int(head.header("content-length") or 0) > 10


def test_a_route_that_no_path_tells_and_one_with_a_way_of_its_own(server: Server) -> None:
    assert in_lane(server, ask(server, "/elsewhere", host="other.test"))
    assert int(ask(server, "/own").body) in set(pids(server)) - {server.process.pid}


def test_a_websocket_behind_a_rewrite(server: Server) -> None:
    async def talk() -> None:
        async with connect(f"ws://127.0.0.1:{server.port}/v1/talk", open_timeout=120) as websocket:
            found = Answer(200, [], str(await websocket.recv()).encode())
            assert in_lane(server, found)
            assert found.json["path"] == "/talk" and found.json["user"] == "Ann"
            assert found.json["id"] == f"id-{before + 1}"
            await websocket.send("hello")
            assert await websocket.recv() == "hello"
            with pytest.raises(ConnectionClosed):
                await websocket.recv()

    before = effects(server)
    asyncio.run(asyncio.wait_for(talk(), 120))
    assert effects(server) == before + 2


def test_a_websocket_that_its_endpoint_refuses(server: Server) -> None:
    async def refused() -> int:
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(f"ws://127.0.0.1:{server.port}/v1/talk?refuse"):
                pass
        return refusal.value.response.status_code

    assert asyncio.run(asyncio.wait_for(refused(), 120)) == 403


def test_sessions_and_included_routers(tmp_path: Path) -> None:
    """A session that an endpoint in the lane changes is the client's next one; FastAPI's routers and dependencies with yield."""
    (tmp_path / "shop.py").write_text('''
import base64, json, os
import freelane
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from starlette.middleware.base import BaseHTTPMiddleware

class Session(dict):
    modified = False
    def __setitem__(self, key, value):
        self.modified = True
        super().__setitem__(key, value)

async def sessions(request, call_next):
    """As Starlette's, which needs a package for its signature."""
    request.scope["session"] = Session(json.loads(request.headers.get("x-session", "{}")))
    response = await call_next(request)
    session = request.scope["session"]
    response.headers["x-session"] = json.dumps(dict(session))
    response.headers["x-modified"] = str(session.modified)
    return response

app = FastAPI()
app.middleware("http")(sessions)
router = APIRouter(prefix="/sub")
opened = []
async def resource():
    opened.append(1)
    yield "open"
    opened.append(0)
def level(request: Request): return request.session.get("n", 0)

@router.get("/count/{step}")
@freelane.gil
def count(request: Request, step: int, n: int = Depends(level), state=Depends(resource)):
    if step:
        request.session["n"] = n + step
    return {"pid": os.getpid(), "n": n, "state": state, "opened": opened[-3:]}
@router.get("/missing")
@freelane.gil
async def missing(): raise HTTPException(404, "not here", headers={"x-why": "gone"})
app.include_router(router, prefix="/v1")

@app.get("/pid")
async def pid(): return os.getpid()
''')
    with running(tmp_path, "shop:app", "--gil-auto", "off") as server:
        first = ask(server, "/v1/sub/count/2")
        assert first.json == {"pid": first.json["pid"], "n": 0, "state": "open", "opened": [1]}
        assert in_lane(server, first)
        assert (first.header("x-session"), first.header("x-modified")) == ('{"n": 2}', "True")
        second = ask(server, "/v1/sub/count/0", x_session=first.header("x-session") or "")
        assert (second.json["n"], second.json["opened"], second.header("x-modified")) == (2, [1, 0, 1], "False")
        assert ask(server, "/v1/sub/count/x").status == 422
        missing = ask(server, "/v1/sub/missing")
        assert (missing.status, missing.json, missing.header("x-why")) == (404, {"detail": "not here"}, "gone")
        assert ask(server, "/pid").json == server.process.pid
