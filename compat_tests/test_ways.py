"""ARCHITECTURE.md says by which modules a request goes: traced here.

Python's frames are seen by ``sys.monitoring`` (PEP 669), and so is a compiled function that Python calls. A call
from C to C, or from Granian, is seen by nobody: a compiled module that only such calls enter may be listed where one
listed before it imports it, or where it was handed over as an object.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from compat_tests.gil_servers import ask, wait_until
from compat_tests.servers import Server, running

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

ROOT = Path(__file__).parent.parent
IMPORTED = re.compile(r"^\s*(?:from|cimport|import)\s+freelane\.([\w.]+)(?:\s+c?import\s+(\w+))?", re.MULTILINE)
# What timers run beside requests, and the counters' page.
TIMERS = {"freelane/server/worker", "freelane/server/scheduling", "freelane/gil_lane/gil_watch", "freelane/server/runtime",
          "freelane/server/processes"}  # fmt: skip
# What is called through an object that was handed over, to Granian or to a module of the way -> who made that.
HANDED = {
    "fastcore/asgi/head": "freelane/server/worker",
    "fastcore/routing/dispatcher": "adapters/starlette/direct",
    "fastcore/routing/router": "adapters/starlette/reader",
    "fastcore/routing/targets": "adapters/starlette/direct",
    "fastcore/asgi/gateway": "freelane/server/runtime",
    "fastcore/threads/executor": "freelane/server/runtime",
    "fastcore/threads/loop_queue": "freelane/server/runtime",
    "fastcore/lane/transport": "fastcore/lane/server",
    "fastcore/lane/server": "freelane/gil_lane/process",
    "adapters/pyre/_request": "adapters/pyre/requests",
    "adapters/starlette/endpoint": "adapters/starlette/answers",
}

TRACER = """
import json, os, sys, threading, time

events, seen, on = sys.monitoring.events, {}, False
def note(name):
    if on and isinstance(name, str) and name.startswith("freelane."):
        seen.setdefault(name)
def started(code, offset):
    if code.co_name == "sweep":  # by a timer
        return
    if code.co_filename.startswith("<freelane"):
        note("freelane.adapters.fastapi.codegen")  # what it has written
    else:
        note(sys._getframe(1).f_globals.get("__name__"))
def called(code, offset, function, argument):
    if code.co_name != "sweep":
        note(getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__module__)
sys.monitoring.use_tool_id(3, "ways")
for event, callback in ((events.PY_START, started), (events.PY_RESUME, started), (events.CALL, called)):
    sys.monitoring.register_callback(3, event, callback)
sys.monitoring.set_events(3, events.PY_START | events.PY_RESUME | events.CALL)

def watch():
    global on
    role = "lane" if "freelane.gil_lane.process" in sys.orig_argv else "server"
    while True:
        wanted = os.path.exists("record")
        if wanted and not on:
            seen.clear()
            on = True
            open(f"{role}.on", "w").close()
        elif on and not wanted:
            on = False
            with open(f"{role}.part", "w") as file:
                json.dump(list(seen), file)
            os.rename(f"{role}.part", f"{role}.json")
        time.sleep(0.01)
threading.Thread(target=watch, daemon=True).start()
"""
APP = """
import tracer
import freelane
from typing import Annotated
from fastapi import Depends, FastAPI
from freelane.adapters.pyre import Pyre
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

async def hello(request): return PlainTextResponse("hello")
async def talk(websocket):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()
@freelane.gil
async def heavy(request): return PlainTextResponse("heavy")
star = Starlette(routes=[Route("/hello", hello), WebSocketRoute("/talk", talk), Route("/heavy", heavy)])

class Item(BaseModel): n: int
def level(q: int = 1): return q
fast = FastAPI()
@fast.post("/item")
def item(item: Item, level: Annotated[int, Depends(level)]): return {"n": item.n + level}

pyre = Pyre()
@pyre.get("/hello")
def pyre_hello(request): return {"hello": 1}
"""


def say(server: Server) -> None:
    async def talk() -> None:
        async with connect(f"ws://127.0.0.1:{server.port}/talk") as websocket:
            await websocket.send("hello")
            assert await websocket.recv() == "hello"

    asyncio.run(talk())


def get(path: str) -> Callable[[Server], None]:
    def send(server: Server) -> None:
        assert ask(server, path).status == 200

    return send


def post(server: Server) -> None:
    answer = ask(server, "/item", "POST", b'{"n": 1}', content_type="application/json")
    assert answer.json == {"n": 2}


# The section in ARCHITECTURE.md -> the app, what is sent, the processes that are looked at.
WAYS: dict[str, tuple[str, Callable[[Server], None], tuple[str, ...]]] = {
    "Starlette, `async def`": ("star", get("/hello"), ("server",)),
    "WebSocket": ("star", say, ("server",)),
    "Gil lane": ("star", get("/heavy"), ("server", "lane")),
    "FastAPI, `def` with a dependency and a body": ("fast", post, ("server",)),
    "Pyre, `def`": ("pyre", get("/hello"), ("server",)),
}


def path_of(module: str) -> str:
    parts = module.removeprefix("freelane.").split(".")
    return "/".join(parts if parts[0] in ("adapters", "fastcore") else ["freelane", *parts])


def listed() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    section = ""
    for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ")
        elif section in WAYS and (item := re.match(r"\d+\. `([\w/]+)`", line)):
            found.setdefault(section, []).append(item[1])
    return found


def imports_of(module: str) -> set[str]:
    found = set()
    for suffix in ("py", "pyx", "pxd"):
        path = ROOT / f"{module}.{suffix}"
        if path.exists():
            for package, name in IMPORTED.findall(path.read_text()):
                found |= {path_of(package), path_of(f"{package}.{name}")}
    return found


class Traced:
    def __init__(self, directory: Path, server: Server) -> None:
        self.directory = directory
        self.server = server

    def way(self, send: Callable[[Server], None], roles: tuple[str, ...]) -> list[str]:
        """The modules that one request enters, by when it first does, once what is made for the first is there."""
        send(self.server)
        send(self.server)
        files = [self.directory / f"{role}.json" for role in roles]
        for role in roles:
            (self.directory / f"{role}.json").unlink(missing_ok=True)
            (self.directory / f"{role}.on").unlink(missing_ok=True)
        record = self.directory / "record"
        record.touch()
        wait_until(lambda: all((self.directory / f"{role}.on").exists() for role in roles))
        send(self.server)
        record.unlink()
        wait_until(lambda: all(file.exists() for file in files))
        found = [path_of(name) for file in files for name in json.loads(file.read_text())]
        return [name for name in dict.fromkeys(found) if name not in TIMERS]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Traced]]:
    started: dict[str, tuple[Traced, object]] = {}

    def start(app: str) -> Traced:
        if app not in started:
            directory = tmp_path_factory.mktemp(app)
            (directory / "shop.py").write_text(APP)
            (directory / "tracer.py").write_text(TRACER)
            context = running(directory, f"shop:{app}", "--gil-auto", "off")
            started[app] = Traced(directory, context.__enter__()), context
        return started[app][0]

    yield start
    for _, context in started.values():
        context.__exit__(None, None, None)  # type: ignore[attr-defined]


@pytest.mark.parametrize("section", WAYS)
def test_a_request_goes_the_way_that_is_written(traced: Callable[[str], Traced], section: str) -> None:
    app, send, roles = WAYS[section]
    written = listed()[section]
    seen = traced(app).way(send, roles)
    assert [name for name in seen if name not in written] == [], seen
    assert [name for name in written if name in seen] == seen
    for index, name in enumerate(written):
        if name in seen:
            continue
        assert (ROOT / f"{name}.pyx").exists(), f"{name} is not entered"
        callers = [HANDED[name]] if name in HANDED else written[:index]
        assert any(name in imports_of(before) for before in callers), f"nobody enters {name}"


def test_every_way_is_written() -> None:
    assert set(listed()) == set(WAYS)
