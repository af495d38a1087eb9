"""Serving: limits, overload, many threads, the environment, the alias, a real drain."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import free_port
from compat_tests.servers import running, started
from freelane.adapters.pyre import Pyre, PyreStream, get_gil_metrics
from freelane.adapters.pyre.testing import TestClient

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")


def make(timeout: float) -> Pyre:
    app = Pyre()
    app.enable_cors()
    app.max_body_size = 1000
    app.timeout = timeout
    app.before_request(lambda req: None)
    app.after_request(lambda req, resp: None)

    @app.get("/{lane}/{n}")
    def any_lane(n: int, lane: str) -> Any:
        return {"n": n, "lane": lane}

    @app.get("/async/{n}")
    async def on_loop(n: int) -> Any:
        await asyncio.sleep(0)
        return {"n": n, "lane": "async"}

    @app.get("/gil/{n}", gil=True)
    def gil(n: int) -> Any:
        return {"n": n, "lane": "gil"}

    @app.post("/echo")
    def echo(req: Any) -> Any:
        return req.json()

    @app.post("/echo/async")
    async def echo_async(req: Any) -> Any:
        return req.json()

    @app.get("/stream/x/{n}")
    def stream(n: int) -> PyreStream:
        stream = PyreStream()
        stream.send(f"{n}")
        stream.close()
        return stream

    @app.get("/sleep")
    def sleep(req: Any) -> str:
        time.sleep(4)
        return "late"

    @app.get("/sleep/gil", gil=True)
    def sleep_gil(req: Any) -> str:
        time.sleep(4)
        return "late"

    @app.get("/sleep/async")
    async def sleep_async(req: Any) -> str:
        await asyncio.sleep(60)
        return "late"

    return app


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(make(timeout=120)) as client:
        yield client


@pytest.fixture(scope="module")
def impatient() -> Iterator[TestClient]:
    with TestClient(make(timeout=1.5)) as client:
        yield client


@pytest.mark.parametrize("path", ["/echo", "/echo/async"])
def test_body_beyond_the_limit_is_413(client: TestClient, path: str) -> None:
    response = client.post(path, body=b"x" * 1001)
    assert (response.status_code, response.json()) == (413, {"error": "payload too large"})
    assert response.headers["access-control-allow-origin"] == "*"


def test_chunked_body_beyond_the_limit_is_413(client: TestClient) -> None:
    connection = http.client.HTTPConnection(client.host, client.port, timeout=120)
    connection.request(
        "POST", "/echo", body=iter([b"x" * 600, b"x" * 600]), headers={"transfer-encoding": "chunked"}, encode_chunked=True
    )
    assert connection.getresponse().status == 413


def test_chunked_body_is_read(client: TestClient) -> None:
    connection = http.client.HTTPConnection(client.host, client.port, timeout=120)
    connection.request(
        "POST", "/echo", body=iter([b"[1,", b"2]"]), headers={"transfer-encoding": "chunked"}, encode_chunked=True
    )
    assert connection.getresponse().read() == b"[1,2]"


def test_body_of_a_client_that_leaves_reaches_no_handler(client: TestClient) -> None:
    with socket.create_connection((client.host, client.port)) as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n[1]")
    time.sleep(0.2)
    assert client.get("/def/1").status_code == 200


def test_default_limit_is_ten_mebibytes() -> None:
    assert Pyre().max_body_size == 10 * 1024 * 1024


@pytest.mark.parametrize("path", ["/sleep", "/sleep/gil", "/sleep/async"])
def test_handler_that_takes_too_long_is_504(impatient: TestClient, path: str) -> None:
    response = impatient.get(path)
    assert (response.status_code, response.json()) == (504, {"error": "request timeout"})
    assert response.headers["access-control-allow-origin"] == "*"


def exchange(client: TestClient, requests: list[tuple[str, str, bytes | None, bytes]]) -> None:
    connection = http.client.HTTPConnection(client.host, client.port, timeout=120)
    for method, path, body, expected in requests:
        connection.request(method, path, body)
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, expected)


def test_every_form_of_handler_under_32_threads(client: TestClient) -> None:
    barrier = threading.Barrier(32)

    def work(number: int) -> None:
        barrier.wait()
        requests: list[tuple[str, str, bytes | None, bytes]] = []
        for n in range(number * 100, number * 100 + 10):
            for lane in ("def", "async", "gil"):
                requests.append(("GET", f"/{lane}/{n}", None, b'{"n":%d,"lane":"%s"}' % (n, lane.encode())))
            requests.append(("POST", "/echo", b"[%d]" % n, b"[%d]" % n))
            requests.append(("POST", "/echo/async", b"[%d]" % n, b"[%d]" % n))
            requests.append(("GET", f"/stream/x/{n}", None, b"%d" % n))
        exchange(client, requests)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(work, range(32)))


def test_requests_are_counted(client: TestClient) -> None:
    before = get_gil_metrics()
    for _ in range(5):
        client.get("/def/1")
    after = get_gil_metrics()
    assert after[8] - before[8] == 5
    assert after[4] > 1_000_000


def test_gil_routes_are_named() -> None:
    app = Pyre()
    app.get("/a", lambda req: "", gil=True)
    app.post("/b/{*rest}", lambda req: "", gil=True)
    app.get("/c", lambda req: "")
    assert app.gil_routes() == [("GET", "/a"), ("POST", "/b/{rest:path}")]


@pytest.mark.parametrize("hook", ["", "@app.before_request\nasync def hook(req): pass\n"], ids=["thread", "loop"])
def test_overload_is_503_with_retry_after(tmp_path: Path, hook: str) -> None:
    (tmp_path / "busy.py").write_text(
        "import time\nfrom freelane.adapters.pyre import Pyre\napp = Pyre()\n"
        "@app.get('/')\ndef slow(req):\n    time.sleep(0.5)\n    return 'done'\n" + hook
    )
    with running(tmp_path, "busy:app", "--threads", "1", "--threads-backlog", "1") as server:

        def get(_: int) -> tuple[int, str | None]:
            response = server.get("/")
            return response.status, response.getheader("retry-after")

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(get, range(6)))
    assert (200, None) in answers and (503, "1") in answers
    assert set(answers) == {(200, None), (503, "1")}


SCRIPT = """
import os, sys, time, asyncio
{imports}
app = Pyre()
@app.get("/")
def home(req): return {{"module": Pyre.__module__}}
@app.get("/slow")
def slow(req):
    print("IN", flush=True)
    time.sleep(1)
    return "slow"
@app.get("/slow/async")
async def slow_async(req):
    print("IN", flush=True)
    await asyncio.sleep(1)
    return "slow"
@app.on_shutdown
async def down(): print("DOWN", flush=True)
if __name__ == "__main__":
    app.run()
"""


def test_alias_serves_an_app_with_no_change(tmp_path: Path) -> None:
    imports = "from pyreframework import Pyre\nfrom pyreframework.cookies import set_cookie\nimport pyreframework.testing, pyreframework.rpc"
    (tmp_path / "app.py").write_text(SCRIPT.format(imports=imports))
    with running(tmp_path, "app.py:app", "--alias", "pyreframework") as server:
        assert server.get("/").read() == b'{"module":"freelane.adapters.pyre.app"}'


def test_alias_that_is_no_name_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SCRIPT.format(imports="from freelane.adapters.pyre import Pyre"))
    command = [str(Path(sys.executable).parent / "freelane"), "run", "app.py:app", "--alias", "a-b"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert (done.returncode, "--alias" in done.stderr) == (2, True)


@pytest.mark.parametrize("path", ["/slow", "/slow/async"])
def test_sigterm_finishes_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    port = free_port()
    monkeypatch.setenv("PYRE_PORT", str(port))
    monkeypatch.setenv("PYRE_HOST", "127.0.0.1")
    (tmp_path / "app.py").write_text(SCRIPT.format(imports="from freelane.adapters.pyre import Pyre"))
    with started([sys.executable, "app.py"], tmp_path, port, " | ") as server:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("GET", path)
        server.wait_for("IN")
        server.process.send_signal(signal.SIGTERM)
        assert connection.getresponse().read() == b"slow"
        assert server.process.wait(120) == 0
        assert "DOWN" in server.output()


@pytest.mark.parametrize(("name", "value"), [("PYRE_PORT", "none"), ("PYRE_WORKERS", "0")])
def test_environment_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name):
        Pyre().run()


def test_unknown_mode_names_the_known() -> None:
    with pytest.raises(ValueError, match="subinterp"):
        Pyre().run(mode="turbo")


def test_reload_restarts_on_a_change(tmp_path: Path) -> None:
    port = free_port()
    script = tmp_path / "app.py"
    source = SCRIPT.format(imports="from freelane.adapters.pyre import Pyre")
    script.write_text(source)
    env = {**os.environ, "PYRE_PORT": str(port), "PYRE_RELOAD": "1"}
    process = subprocess.Popen([sys.executable, "app.py"], cwd=tmp_path, env=env)
    try:
        assert fetched(port, b"freelane.adapters") is True
        script.write_text(source.replace('"module": Pyre.__module__', '"module": "changed"'))
        assert fetched(port, b"changed") is True
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)


def fetched(port: int, words: bytes) -> bool:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/")
            if words in connection.getresponse().read():
                return True
        except OSError:
            pass
        time.sleep(0.1)
    return False
