"""The gil lane carries everything an endpoint may do, and the main process stays what it was."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from compat_tests.gil_servers import ask, lane_server, pids, wait_until
from compat_tests.servers import COMMAND, Server, running
from freelane.gil_lane.gil_watch import free_threaded

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")


@pytest.fixture(scope="module")
def server(extension: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with lane_server(extension, tmp_path_factory.mktemp("app"), "--gil-timeout", "5") as server:
        # A request that waits for the lane's process to start waits within that time.
        wait_until(lambda: server.output().count("UP ") == 2)
        yield server


def test_a_marked_endpoint_runs_elsewhere_with_the_gil_on(server: Server) -> None:
    here, there = ask(server, "/").json, ask(server, "/marked").json
    assert here["pid"] == server.process.pid
    assert there["pid"] in pids(server)
    assert there["gil"] is True
    assert here["gil"] is not free_threaded()


def test_the_start_line_says_what_is_in_force(server: Server) -> None:
    line = next(line for line in server.output().splitlines() if line.startswith("freelane "))
    assert "routes in 1 process" in line
    if free_threaded():
        assert "| GIL off, kept off by -X gil=0 |" in line


@pytest.mark.parametrize("path", ["/answer", "/answer-def", "/below/answer"])
def test_an_endpoint_that_is_named_runs_in_the_lane(server: Server, path: str) -> None:
    found = ask(server, path).json
    assert found["answer"] == 42
    assert found["pid"] != server.process.pid


PLAIN = """
import threading
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
import freelane
@freelane.gil
def lane(request): return PlainTextResponse(threading.current_thread().name)
app = Starlette(routes=[Route("/", lane)])
"""


def test_a_def_endpoint_takes_a_slot_of_the_lane_and_no_thread_of_anyio(tmp_path: Path) -> None:
    # Threads without bound would wrestle for the lane's GIL.
    (tmp_path / "shop.py").write_text(PLAIN)
    with running(tmp_path, "shop:app") as server:
        thread = ask(server, "/").body.decode()
        assert thread != "MainThread" and not thread.startswith("AnyIO")


def test_a_sibling_stays_in_the_main_process(server: Server) -> None:
    assert ask(server, "/below/plain").json["pid"] == server.process.pid


def test_a_method_that_is_not_allowed_is_answered_as_ever(server: Server) -> None:
    answer = ask(server, "/echo")
    assert (answer.status, answer.header("allow")) == (405, "POST")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_methods_cookies_query_and_state_come_through(server: Server, method: str) -> None:
    body = b"ignored" if method == "PUT" else None
    answer = ask(server, "/cookies/%C3%A9?a=1&b=%20", method, body, cookie="x=y")
    assert answer.json == {"cookies": {"x": "y"}, "query": "a=1&b=%20", "path": "/cookies/é", "client": True,
                           "method": method, "state": answer.json["state"]}  # fmt: skip
    assert answer.json["state"] in pids(server)  # each lane process has run the lifespan
    assert [value.partition(";")[0] for name, value in answer.headers if name == "set-cookie"] == ["one=1", "two=2"]


def test_head_has_the_length_and_no_body(server: Server) -> None:
    answer = ask(server, "/big?size=70000", "HEAD")
    assert (answer.status, answer.header("content-length"), answer.body) == (200, "70000", b"")


@pytest.mark.parametrize("size", [0, 1, 16 << 10, 64 << 10, (64 << 10) + 1, 5_000_000, 40_000_000])
def test_bodies_of_every_size_come_through_both_ways(server: Server, size: int) -> None:
    body = os.urandom(size)
    answer = ask(server, "/echo", "POST", body, x_sent="header")
    assert answer.body == body
    assert answer.header("x-got") == "header"
    assert ask(server, f"/big?size={size}").body == b"x" * size


def test_bodies_are_streamed_both_ways_at_once(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
        client.sendall(b"POST /echo-stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        received = b""
        for part in (b"one", b"two", b"three"):
            client.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            while part not in received:
                received += client.recv(65536)
        client.sendall(b"0\r\n\r\n")
        while not received.endswith(b"0\r\n\r\n"):
            received += client.recv(65536)


def test_a_streamed_body_larger_than_every_window(server: Server) -> None:
    body, received = os.urandom(30_000_000), bytearray()
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
        head = b"POST /echo-stream HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        sender = threading.Thread(target=lambda: client.sendall(head + body))
        sender.start()
        while chunk := client.recv(1 << 20):
            received += chunk
        sender.join()
    response = http.client.HTTPResponse(Wire(bytes(received)))  # type: ignore[arg-type]
    response.begin()
    assert response.read() == body


class Wire:
    """A connection whose bytes are all there."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


def test_a_slow_reader_does_not_fill_the_memory(server: Server) -> None:
    from freelane.bench.machine import tree_rss_mib

    before = tree_rss_mib(server.process.pid)
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
        client.sendall(b"POST /echo-stream HTTP/1.1\r\nhost: a\r\ncontent-length: 400000000\r\n\r\n")
        client.settimeout(1)
        chunk, sent = b"x" * 1_000_000, 0
        try:
            while sent < 400:
                client.sendall(chunk)
                sent += 1
        except TimeoutError:
            pass
        assert sent < 400  # nobody takes what it sends
        after = tree_rss_mib(server.process.pid)
    assert before is not None and after is not None and after - before < 150


def test_events_arrive_one_by_one_and_end_with_the_client(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
        client.sendall(b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n")
        received = b""
        while b"data: 5" not in received:
            received += client.recv(65536)
        assert b"data: 200" not in received
    server.wait_for("EVENTS ENDED")
    assert "EVENTS ENDED" in server.output()


def test_the_endpoint_learns_that_its_client_left(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
        client.sendall(b"GET /waits HTTP/1.1\r\nhost: a\r\n\r\n")
        server.wait_for("WAITS")
        assert "CLIENT LEFT" not in server.output()
    server.wait_for("CLIENT LEFT")
    assert "CLIENT LEFT" in server.output()


def test_an_exception_is_a_500_and_its_traceback_names_the_lane(server: Server) -> None:
    answer = ask(server, "/raises")
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    server.wait_for("ValueError: from the lane")
    assert "LaneTraceback: \nin gil-1:\nTraceback" in server.output()
    assert "gil_app.py" in server.output().partition("in gil-1:")[2].partition("ValueError: from the lane")[0]


def test_exception_handlers_run_in_the_lane_and_middleware_in_front_of_it(server: Server) -> None:
    answer = ask(server, "/special")
    assert (answer.status, answer.body) == (418, b"handled")
    assert [value for name, value in answer.headers if name == "x-process"] == [str(server.process.pid)]


def test_a_response_that_fails_half_way_does_not_look_whole(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
        client.sendall(b"GET /half HTTP/1.1\r\nhost: a\r\n\r\n")
        data = b""
        try:
            while chunk := client.recv(65536):
                data += chunk
        except ConnectionResetError:
            pass
    assert b"first" in data
    assert not data.endswith(b"0\r\n\r\n")


def test_background_tasks_run_after_the_answer(server: Server) -> None:
    assert ask(server, "/background").body == b"now"
    server.wait_for("LATER")
    assert "LATER" in server.output()


@pytest.mark.parametrize("path", ["/meet?n=8", "/meet-def?n=4"])
def test_endpoints_run_at_once(extension: Path, tmp_path: Path, path: str) -> None:
    """Each waits for all of them."""

    count = int(path[-1])
    with lane_server(extension, tmp_path, "--gil-timeout", "600") as server, ThreadPoolExecutor(count) as pool:
        assert {answer.status for answer in pool.map(lambda _: ask(server, path), range(count))} == {200}


def url(server: Server, path: str) -> str:
    return f"ws://127.0.0.1:{server.port}{path}"


def test_websockets_speak_both_ways_and_keep_their_subprotocol(server: Server) -> None:
    async def talk() -> None:
        async with connect(url(server, "/ws"), subprotocols=["chat"]) as websocket:  # type: ignore[list-item]
            assert websocket.subprotocol == "chat"
            for text in ("hello", "é" * 100, "x" * 300_000):
                await websocket.send(text)
                assert await websocket.recv() == f"{text} {len(text)}"
            await websocket.send("close")
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (3001, "enough")

    asyncio.run(asyncio.wait_for(talk(), 120))


def test_a_websocket_learns_that_its_client_left(server: Server) -> None:
    async def leave() -> None:
        async with connect(url(server, "/ws")) as websocket:
            await websocket.send("hello")
            await websocket.recv()

    asyncio.run(asyncio.wait_for(leave(), 120))
    server.wait_for("SOCKET CLOSED")
    assert "SOCKET CLOSED" in server.output()


def test_a_refused_websocket_is_a_403(server: Server) -> None:
    async def refused() -> int:
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(url(server, "/refuses")):
                pass
        return refusal.value.response.status_code

    assert asyncio.run(asyncio.wait_for(refused(), 120)) == 403


def test_many_requests_are_in_flight_at_once(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path, "--gil-timeout", "600") as server, contextlib.ExitStack() as stack:
        clients = [socket.create_connection(("127.0.0.1", server.port), timeout=120) for _ in range(30)]
        for client in clients:
            stack.enter_context(client).sendall(b"GET /meet?n=30 HTTP/1.1\r\nhost: a\r\n\r\n")
        assert all(client.recv(65536).startswith(b"HTTP/1.1 200") for client in clients)


@pytest.mark.parametrize("transport", ["rsgi", "asgi"])
def test_either_transport(extension: Path, tmp_path: Path, transport: str) -> None:
    with lane_server(extension, tmp_path, "--transport", transport, "--show-lanes") as server:
        answer = ask(server, "/echo", "POST", b"body")
        assert (answer.body, answer.header("freelane-lane"), answer.header("freelane-gil")) == (b"body", "gil", "on")
        assert ask(server, "/").header("freelane-lane") != "gil"


def test_requests_are_shared_among_lane_processes_and_workers(extension: Path, tmp_path: Path) -> None:
    # Each worker is a process with a lane of its own.
    with lane_server(extension, tmp_path, "--gil-workers", "2", "--workers", "2") as server:

        def seen() -> set[int]:
            async def several() -> list[int]:
                tasks = [asyncio.to_thread(ask, server, "/sleep?s=0.2") for _ in range(12)]
                return [answer.json["pid"] for answer in await asyncio.gather(*tasks)]

            return set(asyncio.run(several()))

        found: set[int] = set()

        def all_seen() -> bool:
            found.update(seen())
            return len(found) == 4

        wait_until(all_seen)


def test_paths_and_settings_from_pyproject(extension: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.freelane]\ngil = ["gil_app:main", "/below/*"]\ngil-workers = 1\ngil-timeout = 7\n'
    )
    with lane_server(extension, tmp_path, "--gil-auto", "off") as server:
        assert ask(server, "/").json["pid"] != server.process.pid
        assert ask(server, "/below/plain").json["pid"] != server.process.pid


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gil", "gil_app:mian"], "'gil_app:mian' is no endpoint of this app: it has gil_app:main"),
        (["--gil", "nonsense"], "names nothing"),
        (["--gil-timeout", "0"], "--gil-timeout must be more than 0"),
        (["--gil-workers", "0"], "at least 1"),
        (["--gil-python", "no-such-python"], "is no program"),
        (["--gil-auto", "maybe"], "must be one of on, off"),
    ],
)
def test_mistakes_are_one_line(extension: Path, tmp_path: Path, options: list[str], words: str) -> None:
    for file in extension.glob("needsgil.*.so"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "gil_app.py").write_text((Path(__file__).parent / "gil_app.py").read_text())
    done = subprocess.run([*COMMAND, "gil_app:app", "--port", "0", "--log-level", "critical", *options], cwd=tmp_path,
                          capture_output=True, text=True, timeout=600)  # fmt: skip
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
