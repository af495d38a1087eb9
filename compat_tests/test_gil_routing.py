"""The lane of a request is that of the endpoint it reaches, whatever stands between it and its URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from compat_tests.gil_servers import Answer, ask, pids
from compat_tests.servers import Server, running

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = '''
import os
import freelane
from fastapi import FastAPI, Request
from freelane.adapters.pyre import Pyre
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

class Rewrite:
    """Versioned paths, in place as most do it; reads the body of those that ask for it."""
    def __init__(self, app): self.app = app
    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and (at := scope["path"].find("/v1/")) >= 0:
            scope["path"] = scope["path"][:at] + scope["path"][at + 3:]
            scope["raw_path"] = scope["path"].encode()
            if b"peek" in scope["query_string"]:
                message = await receive()
                first = [message]
                async def again(): return first.pop() if first else await receive()
                return await self.app(scope, again, send)
        await self.app(scope, receive, send)

class Count(BaseHTTPMiddleware):
    """Sees every answer, and would make one of its own of an error."""
    async def dispatch(self, request, call_next):
        try:
            response = await call_next(request)
        except Exception as exc:
            return JSONResponse({"error": repr(exc)}, 500)
        response.headers.append("x-count", str(os.getpid()))
        return response

def told(request, **more):
    return {"pid": os.getpid(), "path": request.url.path, **more}

@freelane.gil
async def heavy(request: Request): return JSONResponse(told(request, body=(await request.body()).decode()))
@freelane.gil
def heavy_def(request: Request): return JSONResponse(told(request))
@freelane.gil
async def files(request: Request):
    return JSONResponse(told(request, rest=request.path_params["rest"], url=str(request.url_for("files", rest="q"))))
async def light(request: Request): return JSONResponse(told(request, body=(await request.body()).decode()))

def routes():
    return [
        Route("/heavy", heavy, methods=["GET", "POST"]), Route("/heavy-def", heavy_def),
        Route("/light", light, methods=["GET", "POST"]), Route("/files/{rest:path}", files, name="files"),
    ]

layers = [Middleware(Count), Middleware(Rewrite)]
star = Starlette(routes=[*routes(), Mount("/below", Starlette(routes=routes()))], middleware=layers)

def fast(**options):
    app = FastAPI(**options)
    for path, endpoint in (("/heavy", heavy), ("/heavy-def", heavy_def), ("/light", light), ("/files/{rest:path}", files)):
        app.api_route(path, methods=["GET", "POST"])(endpoint)
    return app
fastapi = fast()
fastapi.add_middleware(Rewrite)
fastapi.add_middleware(Count)
rooted = fast(root_path="/api")

pyre = Pyre()
@pyre.get("/heavy-def", gil=True)
def pyre_heavy(req): return {"pid": os.getpid()}
@pyre.get("/files/{*rest}", gil=True)
def pyre_files(req): return {"pid": os.getpid(), "rest": req.params["rest"], "path": req.path}
@pyre.get("/light")
def pyre_light(req): return {"pid": os.getpid()}
pyre.mount("/star", star)
'''


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    with ExitStack() as stack:
        found = {}
        for name, options in (
            ("star", ("--transport", "rsgi")),
            ("fastapi", ("--transport", "asgi")),
            ("rooted", ()),
            ("pyre", ()),
            ("star under /prefix", ("--root-path", "/prefix")),
            ("fastapi under /prefix", ("--root-path", "/prefix", "--transport", "asgi")),
            ("rooted under /api", ("--root-path", "/api")),
            ("pyre under /prefix", ("--root-path", "/prefix")),
        ):
            directory = tmp_path_factory.mktemp("app")
            (directory / "shop.py").write_text(APP)
            target = f"shop:{name.partition(' ')[0]}"
            found[name] = stack.enter_context(running(directory, target, "--gil-auto", "off", *options))
        yield found


def in_lane(server: Server, answer: Answer) -> bool:
    assert answer.status == 200, answer.body
    pid = answer.json["pid"]
    assert pid == server.process.pid or pid in pids(server)
    return bool(pid != server.process.pid)


@pytest.mark.parametrize("name, path", [
    ("star", "/heavy"), ("star", "/v1/heavy"), ("star", "/v1/heavy-def"), ("star", "/below/v1/heavy"),
    ("star under /prefix", "/v1/heavy"), ("fastapi", "/v1/heavy"), ("fastapi", "/v1/heavy-def"),
    ("fastapi under /prefix", "/v1/heavy-def"), ("rooted", "/heavy"), ("rooted", "/api/heavy"), ("rooted", "/api/heavy-def"),
    ("rooted under /api", "/heavy"), ("rooted under /api", "/heavy-def"), ("pyre", "/heavy-def"),
    ("pyre", "/star/heavy"), ("pyre", "/star/v1/heavy"), ("pyre under /prefix", "/heavy-def"),
    ("pyre under /prefix", "/star/v1/heavy-def"),
])  # fmt: skip
def test_an_endpoint_of_the_lane_runs_there(servers: dict[str, Server], name: str, path: str) -> None:
    answer = ask(servers[name], path)
    assert in_lane(servers[name], answer)
    if "star" in path + name or name.startswith("fastapi"):
        # Around the endpoint its middleware ran once, in the server's process as for any other.
        assert [value for key, value in answer.headers if key == "x-count"] == [str(servers[name].process.pid)]


@pytest.mark.parametrize("name, path", [
    ("star", "/light"), ("star", "/v1/light"), ("star", "/below/v1/light"), ("fastapi", "/v1/light"),
    ("rooted", "/api/light"), ("pyre", "/light"), ("pyre", "/star/v1/light"),
])  # fmt: skip
def test_another_endpoint_stays(servers: dict[str, Server], name: str, path: str) -> None:
    assert not in_lane(servers[name], ask(servers[name], path))


@pytest.mark.parametrize("name", ["star", "fastapi"])
@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_a_body_that_was_looked_at_comes_along(servers: dict[str, Server], name: str, size: int) -> None:
    body = b"b" * size
    for path in ("/v1/heavy", "/v1/heavy?peek", "/v1/light?peek"):
        answer = ask(servers[name], path, "POST", body)
        assert in_lane(servers[name], answer) is ("heavy" in path)
        assert answer.json["body"] == body.decode()


@pytest.mark.parametrize("name, prefix, path", [
    ("star", "", "/files/a/b"), ("star", "", "/v1/files/a/b"), ("star under /prefix", "/prefix", "/files/a/b"),
    ("fastapi under /prefix", "/prefix", "/files/a/b"), ("fastapi under /prefix", "/prefix", "/v1/files/a/b"),
    ("rooted", "/api", "/api/files/a/b"), ("rooted under /api", "/api", "/files/a/b"),
])  # fmt: skip
def test_a_parameter_has_no_prefix_and_an_url_has(servers: dict[str, Server], name: str, prefix: str, path: str) -> None:
    answer = ask(servers[name], path)
    assert in_lane(servers[name], answer)
    assert answer.json["rest"] == "a/b"
    assert answer.json["url"] == f"http://127.0.0.1:{servers[name].port}{prefix}/files/q"


@pytest.mark.parametrize("name", ["pyre", "pyre under /prefix"])
def test_a_parameter_of_a_pyre_app_has_no_prefix(servers: dict[str, Server], name: str) -> None:
    answer = ask(servers[name], "/files/a/b")
    assert in_lane(servers[name], answer)
    assert (answer.json["rest"], answer.json["path"]) == ("a/b", "/files/a/b")


def test_nothing_is_logged_of_it(servers: dict[str, Server]) -> None:
    for name, server in servers.items():
        assert "Traceback" not in server.output() and "ERROR" not in server.output(), name
