"""A private name that has moved disables what uses it: the adapters are imported, and every app is served."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from freelane.adapters.compat import anyio_gate, fastapi_gate, starlette_gate

pytestmark = pytest.mark.thread_unsafe(reason="starts a process")

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted({name for gate in (anyio_gate, fastapi_gate, starlette_gate)
                for name in (*gate.PRIVATE, *getattr(gate, "OPTIONAL", ()))})  # fmt: skip

# One process for all: a child of it for each name, which imports the adapters without that name. The
# framework's own code keeps it, as code in which it moved would find it elsewhere.
SCRIPT = """
import importlib, os, sys, types, warnings
warnings.simplefilter("ignore")
import anyio._backends._asyncio, anyio.from_thread, httpx
from fastapi import Depends, FastAPI, Form
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def hide(name):
    module, _, attribute = name.partition(":")
    real = importlib.import_module(module)
    found = types.ModuleType(module)
    vars(found).update(vars(real))
    vars(found).pop(attribute, None)
    sys.modules[module] = found
    if "." in module:
        parent, _, last = module.rpartition(".")
        setattr(sys.modules[parent], last, found)

async def later():
    return 1

def page(limit: int = 1):
    yield limit

def fastapi_app():
    app = FastAPI()
    @app.get("/def/{n}")
    def plain(n: int, page: int = Depends(page)): return [n, page, anyio.from_thread.run(later)]
    @app.get("/async/{n}")
    async def waits(n: int, page: int = Depends(page)): return [n, page]
    @app.post("/body")
    def body(item: dict[str, int]): return item
    @app.post("/form")
    async def form(n: int = Form()): return n
    return app

def starlette_app():
    def plain(request): return PlainTextResponse("def")
    async def waits(request): return PlainTextResponse("async")
    return Starlette(routes=[Route("/def", plain), Route("/async", waits)])

async def plain_app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"plain"})

FORM = [(b"content-type", b"application/x-www-form-urlencoded")]
JSON = [(b"content-type", b"application/json")]
ASKED = [
    (fastapi_app(), [
        ("GET", "/def/2?limit=3", [], b"", b"[2,3,1]"), ("GET", "/async/2", [], b"", b"[2,1]"),
        ("POST", "/body", JSON, b'{"a": 1}', b'{"a":1}'), ("POST", "/form", FORM, b"n=4", b"4"),
        ("GET", "/nothing", [], b"", b'{"detail":"Not Found"}'),
    ]),
    (starlette_app(), [("GET", "/def", [], b"", b"def"), ("GET", "/async", [], b"", b"async")]),
    (plain_app, [("GET", "/", [], b"", b"plain")]),
]

def look(name):
    hide(name)
    import freelane.adapters
    from compat_tests.scheduled import Server
    for app, requests in ASKED:
        server = Server(app)
        for method, path, headers, content, expected in requests:
            answer = server.ask(method, path, headers, content)
            assert answer.body == expected, (name, path, answer.body)
        assert server.errors == [], (name, server.errors)
        server.close()

for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            look(name)
            code = 0
        except BaseException:
            import traceback
            print(name, traceback.format_exc(), flush=True)
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1] != 0:
        print("without", name, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_without_any_one_private_name_every_app_has_its_answers() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, *NAMES], cwd=ROOT, text=True, capture_output=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", done.stdout[-6000:]
