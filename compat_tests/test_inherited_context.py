"""What an app sets as it is imported is in force wherever its code runs, as under uvicorn: on loops and on threads."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from compat_tests.servers import running

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = """
import asyncio, contextlib, contextvars, decimal
import anyio.to_thread
from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.responses import StreamingResponse

where, late = contextvars.ContextVar("where"), contextvars.ContextVar("late")
where.set("import")
decimal.getcontext().prec = 9

def told(): return [where.get("lost"), str(decimal.Decimal(1) / 3), late.get("unset")]
def opened(): yield told()

@contextlib.asynccontextmanager
async def lifespan(app):
    late.set("of the lifespan alone")
    yield

app = FastAPI(lifespan=lifespan)
@app.get("/def")
def on_thread(): return told()
@app.get("/async")
async def on_loop(): return told()
@app.get("/dependencies")
async def dependencies(one=Depends(told), two=Depends(opened)): return one if one == two else "different"
@app.get("/anyio")
async def by_anyio(): return await anyio.to_thread.run_sync(told)
@app.get("/to_thread")
async def by_asyncio(): return await asyncio.to_thread(told)
@app.get("/call_soon")
async def by_loop():
    found = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: found.set_result(told()))
    return await found
@app.get("/stream")
def stream():
    def chunks(): yield __import__("json").dumps(told())
    return StreamingResponse(chunks())
@app.post("/body")
def body(value: dict): return told()
@app.get("/changed")
def changed():
    where.set("by another request")
    return told()[1:]
@app.get("/background")
async def background(tasks: BackgroundTasks):
    loop = asyncio.get_running_loop()
    tasks.add_task(lambda: loop.call_soon_threadsafe(kept.append, told()))
    return None
kept = []
@app.get("/kept")
async def tell_kept():
    while not kept: await asyncio.sleep(0.01)
    return kept[0]
"""
PATHS = ("/def", "/async", "/dependencies", "/anyio", "/to_thread", "/call_soon", "/stream", "/body")


@pytest.mark.parametrize("options", [(), ("--workers", "2"), ("--loops", "2"), ("--transport", "rsgi")], ids=" ".join)
def test_what_the_import_set_is_in_force_everywhere(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with running(tmp_path, "shop:app", *options) as server:

        def ask(path: str) -> object:
            method, body = ("POST", b"{}") if path == "/body" else ("GET", None)
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
            connection.request(method, path, body, {"content-type": "application/json"})
            return json.loads(connection.getresponse().read())

        for _ in range(2):
            ask("/changed")
            assert {path: ask(path) for path in PATHS} == dict.fromkeys(PATHS, ["import", "0.333333333", "unset"])
        if not options:
            ask("/background")
            assert ask("/kept") == ["import", "0.333333333", "unset"]
