"""Health, drain, time for requests, and the counters of a server that runs."""

from __future__ import annotations

import http.client
import re
import signal
import socket
from pathlib import Path

import pytest

from benchmarks.servers import free_port
from compat_tests.servers import Server, running
from compat_tests.test_restart import until

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = """
import asyncio, threading
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
async def item(request): return PlainTextResponse(request.path_params["id"])
async def hang(request):
    try:
        await asyncio.sleep(3600)
    finally:
        print("CANCELLED", flush=True)
held = threading.Event()
def thread(request):
    held.wait()
    print("THREAD ENDED", flush=True)
    return PlainTextResponse("thread")
async def release(request):
    held.set()
    return PlainTextResponse("released")
async def stream(request):
    async def parts():
        yield b"begun"
        await asyncio.sleep(3600)
    return StreamingResponse(parts())
def quick(request): return PlainTextResponse("quick")
async def echo(websocket):
    await websocket.accept()
    await websocket.receive_text()
app = Starlette(routes=[Route("/item/{id}", item), Route("/hang", hang), Route("/thread", thread), Route("/stream", stream),
    Route("/release", release), Route("/quick", quick), Mount("/m", routes=[Route("/sub/{x}", quick)]), WebSocketRoute("/ws", echo)])
"""


def upgrade(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=120)
    client.sendall(
        b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert b" 101 " in client.recv(4096)
    return client


def metrics(port: int) -> dict[str, float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)}


def test_what_is_counted(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    (tmp_path / "shop.py").write_text(APP)
    port = free_port()
    with running(tmp_path, "shop:app", "--metrics-port", str(port)) as server:
        for path in ("/item/1", "/item/2", "/quick", "/nowhere/at/all"):
            server.get(path).read()
        found = metrics(port)
        labels = 'lane="loop",method="GET",route="/item/{id}",status="200"'
        assert found[f"freelane_requests_total{{{labels}}}"] == 2
        assert found[f"freelane_request_duration_seconds_count{{{labels}}}"] == 2
        assert 0 < found[f"freelane_request_duration_seconds_sum{{{labels}}}"] < 600
        assert found['freelane_requests_total{lane="loop",method="GET",route="",status="404"}'] == 1
        assert sum(value for name, value in found.items() if "freelane_requests_total" in name) == 4
        assert found['freelane_websockets{worker="1"}'] == 0 and found['freelane_free_slots_limit{worker="1"}'] == 40
        assert [name for name in found if name.startswith("freelane_gil_enabled")]
        with upgrade(server.port), socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET /thread HTTP/1.1\r\nhost: a\r\n\r\n")
            until(
                lambda: (
                    metrics(port)['freelane_free_busy{worker="1"}'] == 1
                    and metrics(port)['freelane_websockets{worker="1"}'] == 1
                )
            )
            assert metrics(port)['freelane_in_flight{worker="1"}'] >= 2
            assert metrics(port)['freelane_loop_lag_seconds{worker="1"}'] >= 0
            server.get("/release").read()
        until(lambda: metrics(port)['freelane_in_flight{worker="1"}'] == 0)
        assert server.stop() == 0


@pytest.mark.parametrize("transport", ["asgi", "rsgi"])
def test_requests_have_their_time(tmp_path: Path, transport: str) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with running(tmp_path, "shop:app", "--request-timeout", "2", "--transport", transport) as server:
        answer = server.get("/hang")
        assert (answer.status, answer.read()) == (504, b"Gateway Timeout")
        server.wait_for("CANCELLED")
        assert server.get("/thread").status == 504
        assert "THREAD ENDED" not in server.output()
        server.get("/release").read()
        server.wait_for("THREAD ENDED")
        stream = server.get("/stream")
        with pytest.raises(http.client.IncompleteRead):
            stream.read()
        assert server.get("/quick").read() == b"quick"
        assert server.stop() == 0
    assert "Traceback" not in server.output()
    assert "GET /hang took longer than 2 s." in server.output()


def health(server: Server) -> int:
    return server.get("/healthz").status


def test_a_server_that_drains_goes_on_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with running(tmp_path, "shop:app", "--health-path", "/healthz", "--drain-delay", "20") as server:
        assert health(server) == 200
        kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        kept.request("GET", "/quick")
        response = kept.getresponse()
        assert response.read() == b"quick" and response.getheader("connection") is None
        server.process.terminate()
        until(lambda: health(server) == 503)

        def closes() -> bool:
            kept.request("GET", "/quick")
            answer = kept.getresponse()
            assert answer.read() == b"quick"
            return answer.getheader("connection") == "close"

        until(closes)
        assert server.get("/item/5").read() == b"5"
        assert server.process.wait(120) == 0


def test_a_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(180)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with running(tmp_path, "shop:app") as server:
            assert manager.recv(4096) == b"READY=1"
            server.process.send_signal(signal.SIGHUP)
            assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert manager.recv(4096) == b"READY=1"
            server.process.terminate()
            assert manager.recv(4096) == b"STOPPING=1"
            assert server.process.wait(120) == 0


def test_formats_that_name_nothing(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with running(tmp_path, "shop:app", "--access-log", "--access-log-format", "%(nothing)s") as server:
        assert server.process.wait(120) == 2
    assert "a line has asctime, bytes" in server.output()
