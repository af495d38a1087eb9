"""``freelane run`` as a user meets it: start line, errors, signals, lifespan, TLS, Unix sockets."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from benchmarks.servers import free_port
from compat_tests.servers import COMMAND, running

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = """
import asyncio, contextlib, time
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

async def home(request): return JSONResponse({"scheme": request.url.scheme, "version": request.scope["http_version"],
    "client": request.scope["client"] is not None, "server": request.scope["server"], "state": dict(request.state._state)})
def thread(request): return PlainTextResponse("thread")
async def slow(request):
    print("IN", flush=True)
    await asyncio.sleep(1)
    return PlainTextResponse("slow")
async def forever(request):
    print("IN", flush=True)
    await asyncio.sleep(3600)
    return PlainTextResponse("never")
@contextlib.asynccontextmanager
async def lifespan(app):
    print("UP", flush=True)
    yield {"key": "value"}
    print("DOWN", flush=True)
routes = [Route("/", home), Route("/thread", thread), Route("/slow", slow), Route("/forever", forever)]
app = Starlette(routes=routes, lifespan=lifespan)
def make(): return Starlette(routes=routes, lifespan=lifespan)
@contextlib.asynccontextmanager
async def broken(app):
    raise ValueError("no database")
    yield
failing = Starlette(lifespan=broken)
@contextlib.asynccontextmanager
async def writes(app):
    app.state.pool = object()
    yield
writing = Starlette(routes=routes, lifespan=writes)
async def bare(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"bare"})
number = 3
def odd(one, two): ...
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


def fails(directory: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run([*COMMAND, *arguments], cwd=directory, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stderr


def test_start_line_says_what_is_in_force(directory: Path) -> None:
    with running(directory, "shop:app", "--threads", "7") as server:
        line = next(line for line in server.output().splitlines() if line.startswith("freelane "))
    for part in ("CPython 3.", "GIL o", "Granian ", "transport asgi", "1 worker", "7 threads", f":{server.port}"):
        assert part in line
    assert "SCHED_" in line or sys.platform != "linux"


@pytest.mark.parametrize("target", ["shop:app", "shop.py:app", "shop:make --factory"])
def test_serves_each_form_of_target(directory: Path, target: str) -> None:
    with running(directory, *target.split()) as server:
        assert server.get("/thread").read() == b"thread"
        assert b'"state":{"key":"value"}' in server.get("/").read()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["shop:app", "--port", "none"], "--port must be a whole number"),
        (["shop:app", "--port", "70000"], "at most 65535"),
        (["shop:app", "--workers", "0"], "at least 1"),
        (["shop:app", "--transport", "smoke"], "must be one of auto, rsgi, asgi"),
        (["shop:app", "--nonsense"], "--nonsense"),
        (["shop:app", "--ssl-certfile", "none.pem", "--ssl-keyfile", "none.pem"], "cannot read 'none.pem'"),
        (["shop:app", "--ssl-certfile", "shop.py", "--ssl-keyfile", "shop.py"], "cannot be used"),
        (["shop:app", "--ssl-keyfile", "shop.py"], "needs --ssl-certfile"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(directory: Path, arguments: list[str], words: str) -> None:
    code, errors = fails(directory, *arguments)
    assert code == 2
    assert words in errors
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["shop"], "names no app"),
        (["shop:ap"], "has no attribute 'ap'; did you mean 'app'"),
        (["shp:app"], "no module named 'shp'; did you mean 'shop'"),
        (["shopp.py:app"], "no file 'shopp.py'; did you mean 'shop.py'"),
        (["shop:number"], "is no ASGI app"),
        (["shop:odd"], "use --factory"),
        (["shop:app", "--host", "256.0.0.1"], "--host"),
    ],
)
def test_a_start_that_fails_is_one_line_and_exit_3(directory: Path, arguments: list[str], words: str) -> None:
    code, errors = fails(directory, *arguments)
    assert code == 3
    assert words in errors
    assert len(errors.strip().splitlines()) == 1


def test_port_in_use(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, errors = fails(directory, "shop:app", "--port", str(taken.getsockname()[1]))
    assert code == 3
    assert "is in use" in errors


def test_settings_come_from_environment_and_pyproject(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "pyproject.toml").write_text("[tool.freelane]\nthreads = 9\nworkers = 1\n")
    monkeypatch.setenv("FREELANE_THREADS", "11")
    with running(directory, "shop:app") as server:
        assert "11 threads" in server.output()
    (directory / "pyproject.toml").write_text("[tool.freelane]\nthred = 9\n")
    code, errors = fails(directory, "shop:app")
    assert code == 2 and "did you mean 'threads'" in errors


def test_failed_startup_exits_3_with_the_apps_own_error(directory: Path) -> None:
    code, errors = fails(directory, "shop:failing", "--port", str(free_port()))
    assert code == 3
    assert "no database" in errors


def test_app_without_lifespan_is_served(directory: Path) -> None:
    with running(directory, "shop:bare") as server:
        assert server.get("/").read() == b"bare"
        assert server.stop() == 0


def test_loops_that_would_share_app_state_are_refused(directory: Path) -> None:
    code, errors = fails(directory, "shop:writing", "--loops", "2", "--port", str(free_port()))
    assert code == 2
    assert "--factory" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_signal_finishes_what_runs(directory: Path, number: int, workers: str) -> None:
    with running(directory, "shop:app", "--workers", workers) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.request("GET", "/slow")
        server.wait_for("IN")
        server.process.send_signal(number)
        assert connection.getresponse().read() == b"slow"
        assert server.process.wait(120) == 0
        assert server.output().count("DOWN") == int(workers)
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", server.port), timeout=1)


def test_shutdown_timeout_bounds_the_wait(directory: Path) -> None:
    with running(directory, "shop:app", "--shutdown-timeout", "1") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.request("GET", "/forever")
        server.wait_for("IN")
        assert server.stop() == 0
        assert "DOWN" in server.output()


def test_second_signal_ends_at_once(directory: Path) -> None:
    with running(directory, "shop:app") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.request("GET", "/forever")
        server.wait_for("IN")
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert server.process.poll() is None
        assert server.stop(signal.SIGINT) != 0


def test_access_log(directory: Path) -> None:
    with running(directory, "shop:app", "--access-log") as server:
        server.get("/thread?a=1").read()
        server.get("/nowhere").read()
        assert server.stop() == 0
    assert '"GET /thread?a=1 HTTP/1.1" 200' in server.output()
    assert '"GET /nowhere HTTP/1.1" 404' in server.output()


def test_unix_socket(directory: Path) -> None:
    path = str(directory / "sock")
    with running(directory, "shop:app", uds=path) as server:
        with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
            answer = client.get("http://testserver/").json()
        assert answer["client"] is False
        assert answer["server"] == [path, None]
        assert server.stop() == 0
    assert not os.path.exists(path)


def make_certificate(directory: Path) -> tuple[str, str]:
    cert, key = str(directory / "cert.pem"), str(directory / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def test_tls_and_http2(directory: Path) -> None:
    cert, key = make_certificate(directory)
    with running(directory, "shop:app", "--ssl-certfile", cert, "--ssl-keyfile", key) as server:
        context = ssl.create_default_context(cafile=cert)
        with httpx.Client(verify=context, http2=True) as client:
            response = client.get(f"https://127.0.0.1:{server.port}/")
            assert response.http_version == "HTTP/2"
            assert (response.json()["scheme"], response.json()["version"]) == ("https", "2")
            assert client.post(f"https://127.0.0.1:{server.port}/thread", content=b"x" * 100_000).status_code == 405
        with httpx.Client(verify=context) as client:
            assert client.get(f"https://127.0.0.1:{server.port}/").json()["version"] == "1.1"
        assert server.stop() == 0
