"""What a stop does with work that no client waits for any more: as uvicorn, let it end, then stop the app."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import freelane
from benchmarks.servers import free_port
from compat_tests.servers import COMMAND, Server, started
from freelane.testing import HTTPProtocol, make_scope

APP = """
import asyncio, contextlib, signal, time
import anyio.to_thread
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def say(word): print(word, flush=True)
def on_thread(seconds):
    time.sleep(seconds)
    say("DONE")
async def on_loop(seconds):
    await asyncio.sleep(seconds)
    say("DONE")
async def thread(request): return PlainTextResponse("x", background=BackgroundTask(on_thread, 1))
async def loop(request): return PlainTextResponse("x", background=BackgroundTask(on_loop, 1))
def sync(request): return PlainTextResponse("x", background=BackgroundTask(on_thread, 1))
async def stuck_thread(request): return PlainTextResponse("x", background=BackgroundTask(on_thread, 3600))
async def stuck_loop(request): return PlainTextResponse("x", background=BackgroundTask(on_loop, 3600))
def told(request):
    # Runs C's handler on this thread: the main thread, which waits elsewhere, is not interrupted.
    signal.raise_signal(signal.SIGTERM)
    return PlainTextResponse("x")
kept = []
async def stray(request):
    async def work():
        try:
            await anyio.to_thread.run_sync(on_thread, 1)
            await asyncio.sleep(60)
        finally:
            say("CANCELLED")
    kept.append(asyncio.create_task(work()))
    return PlainTextResponse("x")
@contextlib.asynccontextmanager
async def lifespan(app):
    yield
    say("DOWN")
names = ["thread", "loop", "sync", "stuck_thread", "stuck_loop", "told", "stray"]
app = Starlette(routes=[Route("/" + name, globals()[name]) for name in names], lifespan=lifespan)

import freelane
wrapped = freelane.wrap(app)
"""
# `freelane run`; the same with a Granian it does not know; Granian's own command with what `wrap` returns.
WAYS = ["rsgi", "asgi", "public", "stock"]
PUBLIC = "import sys; from freelane.cli import main as cli; from freelane.server import granian; granian.NAMES['Renamed'] = (); sys.exit(cli.main(sys.argv[1:]))"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


@contextmanager
def served(directory: Path, way: str, *options: str) -> Iterator[Server]:
    port = free_port()
    where = ["--port", str(port)]
    command, ready = {
        "public": ([sys.executable, "-c", PUBLIC, "run", "shop:app", *where], "runtime-1"),
        "stock": ([str(Path(sys.executable).parent / "granian"), "--interface", "rsgi", *where, "shop:wrapped"], "runtime-1"),
    }.get(way, ([*COMMAND, "shop:app", *where, "--transport", way], " | "))
    with started([*command, *options], directory, port, ready) as server:
        yield server


@pytest.mark.thread_unsafe(reason="starts servers")
@pytest.mark.parametrize("path", ["/thread", "/loop", "/sync"])
@pytest.mark.parametrize("way", WAYS)
def test_background_work_ends_before_the_app_stops(directory: Path, way: str, path: str) -> None:
    with served(directory, way) as server:
        assert server.get(path).read() == b"x"
        assert server.stop() == 0
        assert [word for word in server.output().split() if word in ("DONE", "DOWN")] == ["DONE", "DOWN"]


@pytest.mark.thread_unsafe(reason="starts servers")
@pytest.mark.parametrize("way", WAYS)
def test_a_task_left_on_the_loop_is_cancelled(directory: Path, way: str) -> None:
    with served(directory, way) as server:
        assert server.get("/stray").read() == b"x"
        assert server.stop() == 0
        assert [word for word in server.output().split() if word in ("CANCELLED", "DOWN")] == ["DOWN", "CANCELLED"]


@pytest.mark.thread_unsafe(reason="starts servers")
@pytest.mark.parametrize("path", ["/stuck_thread", "/stuck_loop"])
@pytest.mark.parametrize("way", ["rsgi", "public"])
def test_shutdown_timeout_bounds_background_work(directory: Path, way: str, path: str) -> None:
    with served(directory, way, "--shutdown-timeout", "1") as server:
        assert server.get(path).read() == b"x"
        assert server.stop() == 0
        assert "1 requests did not end within the shutdown timeout of 1 s" in server.output()
        assert "DOWN" in server.output()


@pytest.mark.thread_unsafe(reason="starts servers")
@pytest.mark.parametrize("way", ["rsgi", "asgi", "public"])
def test_a_signal_that_interrupts_no_thread_is_obeyed(directory: Path, way: str) -> None:
    with served(directory, way) as server:
        assert server.get("/told").read() == b"x"
        assert server.process.wait(60) == 0
        assert "DOWN" in server.output()


class Recorder:
    """An app that goes on after its response, until it may end."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.states: list[object] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["loop"] = asyncio.get_running_loop()
            for phase in ("startup", "shutdown"):
                await receive()
                self.events.append(phase)
                await send({"type": f"lifespan.{phase}.complete"})
            return
        self.states.append(scope["state"]["loop"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})
        try:
            await asyncio.sleep(0.2)
            self.events.append("request")
        except asyncio.CancelledError:
            self.events.append("cancelled")
            raise


async def answered(app: Any) -> None:
    """Until the response of a request is there, as a server that stops then."""
    protocol = HTTPProtocol(b"")
    request = asyncio.create_task(app.__rsgi__(make_scope("GET", "/", []), protocol))
    await protocol.ended.wait()
    assert not request.done()


@pytest.mark.parametrize(("timeout", "end"), [(30, "request"), (0, "cancelled")])
def test_requests_end_on_a_loop_that_was_stopped(timeout: int, end: str) -> None:
    recorder = Recorder()
    app = freelane.wrap(recorder, shutdown_timeout=timeout)
    loop = asyncio.new_event_loop()
    try:
        app.__rsgi_init__(loop)
        loop.run_until_complete(answered(app))
        app.__rsgi_del__(loop)
        assert recorder.events == ["startup", end, "shutdown"]
    finally:
        loop.close()


def test_each_loop_has_its_own_lifespan() -> None:
    recorder = Recorder()
    app = freelane.wrap(recorder)
    loops = [asyncio.new_event_loop(), asyncio.new_event_loop()]
    try:
        for loop in loops:
            app.__rsgi_init__(loop)
        for loop in loops:
            loop.run_until_complete(answered(app))
        for loop in loops:
            app.__rsgi_del__(loop)
        assert recorder.states == loops
        assert recorder.events == ["startup"] * 2 + ["request", "shutdown"] * 2
    finally:
        for loop in loops:
            loop.close()
