"""SIGTERM and SIGINT: libraries and apps that look for the handler, chain it, or have one of their own."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from compat_tests.servers import running
from freelane.server.signals import Exit

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = """
import asyncio, atexit, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

def say(*words): print(*words, flush=True)

def chained(old):
    def handler(number, frame):
        say("HANDLER")
        old(number, frame)
    signal.signal(signal.SIGTERM, handler)

def leaves(number, frame):
    say("HANDLER")
    sys.exit(0)

pool = ThreadPoolExecutor(2)
atexit.register(say, "ATEXIT")

class Heap:
    def __del__(self): print("TAKEN APART")
heap = Heap()
heap.itself = heap

def make(way):
    if way == "import":
        chained(signal.getsignal(signal.SIGTERM))
    if way == "exits":
        signal.signal(signal.SIGTERM, leaves)

    async def stream(send):
        server = signal.getsignal(signal.SIGTERM).__self__
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while not server.should_exit:
            await asyncio.sleep(0.05)
        say("CLEANED")
        await send({"type": "http.response.body", "body": b"last"})

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            if way == "lifespan":
                chained(signal.getsignal(signal.SIGTERM))
            if way == "loop":
                server = signal.getsignal(signal.SIGTERM).__self__
                def stop():
                    say("HANDLER")
                    server.should_exit = True
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            say("DOWN")
            await send({"type": "lifespan.shutdown.complete"})
            return
        if way == "stream":
            return await stream(send)
        if way == "idle":
            await asyncio.get_running_loop().run_in_executor(pool, sum, [1])
        if way == "busy":
            pool.submit(time.sleep, 600)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
    return app
"""
APP += "\n".join(f"{way} = make('{way}')" for way in ("none", "lifespan", "loop", "stream", "idle", "busy"))
# What runs at import is made for its own app only.
APP += "\ndef __getattr__(name):\n    return make(name.removeprefix('as_'))\n"


def stopped(directory: Path, way: str) -> tuple[int, str]:
    (directory / "shop.py").write_text(APP)
    with running(directory, f"shop:{way}") as server:
        if way == "stream":
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                seen = b""
                while b"first" not in seen:
                    seen += client.recv(1000)
                code = server.stop()
                while data := client.recv(1000):
                    seen += data
            assert b"last" in seen
        else:
            assert server.get("/").read() == b"ok"
            code = server.stop()
        return code, server.output()


# The end takes up to 30 s where something is waited for that uvicorn does not wait for; `stop` gives 20.
@pytest.mark.parametrize("way", ["as_import", "as_exits", "lifespan", "loop"])
def test_a_handler_of_the_apps_own(tmp_path: Path, way: str) -> None:
    code, output = stopped(tmp_path, way)
    assert code == 0
    assert [word for word in output.split() if word in ("HANDLER", "DOWN")] == ["HANDLER", "DOWN"]


def test_a_stream_that_ends_with_the_server_ends_at_once(tmp_path: Path) -> None:
    code, output = stopped(tmp_path, "stream")
    assert code == 0 and "CLEANED" in output


def test_an_idle_pool_is_not_waited_for(tmp_path: Path) -> None:
    code, output = stopped(tmp_path, "idle")
    assert code == 0 and "ATEXIT" in output
    # uvicorn ends by the signal: the interpreter's own end, a second's work, is not waited for either.
    assert "TAKEN APART" not in output


def test_a_busy_pool_is_not_waited_for(tmp_path: Path) -> None:
    code, output = stopped(tmp_path, "busy")
    assert code == 0 and "did not end: not waited for any longer" in output


def test_sse_starlette_finds_the_server(tmp_path: Path) -> None:
    pytest.importorskip("sse_starlette")
    (tmp_path / "shop.py").write_text("""
import asyncio
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.routing import Route

async def ticks():
    try:
        while True:
            yield {"data": "tick"}
            await asyncio.sleep(0.1)
    finally:
        print("CLEANED", flush=True)

async def sse(request):
    return EventSourceResponse(ticks())

app = Starlette(routes=[Route("/", sse)])
""")
    with running(tmp_path, "shop:app") as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        seen = b""
        while b"tick" not in seen:
            seen += client.recv(1000)
        assert server.stop() == 0
        assert "CLEANED" in server.output()


def test_uvicorns_handler_is_called_where_somebody_replaced_it(monkeypatch: pytest.MonkeyPatch) -> None:
    uvicorn = pytest.importorskip("uvicorn")
    original, seen, stops = uvicorn.Server.handle_exit, [], []

    def replaced(*arguments: Any) -> None:
        seen.append(arguments[1:])
        original(*arguments)

    monkeypatch.setattr(uvicorn.Server, "handle_exit", replaced)
    found = Exit(lambda: stops.append(1))
    found.starting = False
    found.handle_exit(signal.SIGTERM, None)
    found.handle_exit(signal.SIGTERM, None)
    assert seen == [(signal.SIGTERM, None)] * 2
    assert stops == [1] and found.should_exit and not found.force_exit


def test_signals_belong_to_the_caller_again() -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals belong to the main thread")
    before = signal.getsignal(signal.SIGTERM)
    found = Exit(lambda: None)
    found.install(lambda: None)
    assert signal.getsignal(signal.SIGTERM) == found.handle_exit
    found.restore()
    assert signal.getsignal(signal.SIGTERM) is before
