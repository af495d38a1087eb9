"""What fails in a lane process stays there: every sentence of it, done for real."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from compat_tests.gil_servers import ask, gone, lane_server, pids, wait_until
from compat_tests.servers import Server

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")


def the_lane(server: Server) -> int:
    wait_until(lambda: ask(server, "/marked").status == 200)
    (pid,) = pids(server)
    return pid


def still_serves(server: Server, before: int) -> None:
    """The lane has a new process, and the main process is the one it was."""
    # The new process may take longer to start than a request waits for it.
    wait_until(lambda: ask(server, "/answer").status == 200)
    answer = ask(server, "/answer").json
    assert answer["answer"] == 42
    assert answer["pid"] != before
    assert ask(server, "/").json["pid"] == server.process.pid
    assert gone(before)


@pytest.mark.parametrize(("path", "word"), [("/abort", "SIGABRT"), ("/segfault", "SIGSEGV")])
def test_a_process_that_dies_answers_502_and_is_replaced(extension: Path, tmp_path: Path, path: str, word: str) -> None:
    with lane_server(extension, tmp_path) as server:
        before = the_lane(server)
        answer = ask(server, path)
        assert (answer.status, answer.body) == (502, b"Bad Gateway")
        still_serves(server, before)
        assert f"gil-1 (pid {before}) was ended: it died of {word}" in server.output()


def test_a_killed_process_answers_502_for_all_it_had(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path) as server, ThreadPoolExecutor(9) as threads:
        before = the_lane(server)
        waiting = [threads.submit(ask, server, "/sleep?s=30") for _ in range(8)]
        time.sleep(0.5)
        os.kill(before, signal.SIGKILL)
        assert [future.result(10).status for future in waiting] == [502] * 8
        still_serves(server, before)


def test_a_response_that_had_begun_is_cut(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path) as server:
        before = the_lane(server)
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
            client.sendall(b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n")
            data = b""
            while b"data: 3" not in data:
                data += client.recv(65536)
            os.kill(before, signal.SIGKILL)
            try:
                while chunk := client.recv(65536):
                    data += chunk
            except ConnectionResetError:
                pass
        assert not data.endswith(b"0\r\n\r\n")
        still_serves(server, before)


def test_a_websocket_is_closed_with_1011(extension: Path, tmp_path: Path) -> None:
    async def talk(server: Server) -> int:
        async with connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
            await websocket.send("crash")
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.recv()
            assert closed.value.rcvd is not None
            return closed.value.rcvd.code

    with lane_server(extension, tmp_path) as server:
        before = the_lane(server)
        assert asyncio.run(asyncio.wait_for(talk(server), 120)) == 1011
        still_serves(server, before)


def test_an_endless_loop_in_c_answers_504_and_is_killed(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path, "--gil-timeout", "1.5") as server:
        before = the_lane(server)
        answer = ask(server, "/spin")
        assert (answer.status, answer.body) == (504, b"Gateway Timeout")
        still_serves(server, before)
        assert "/spin took longer than --gil-timeout 1.5" in server.output()


def test_an_endpoint_that_waits_too_long_answers_504(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path, "--gil-timeout", "1") as server:
        before = the_lane(server)
        assert ask(server, "/sleep?s=20").status == 504
        still_serves(server, before)
        # What takes its time but has begun to answer may go on.
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
            client.sendall(b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n")
            data = b""
            while b"data: 70\n" not in data:
                data += client.recv(65536)


def test_memory_beyond_its_limit_ends_a_process(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path, "--gil-max-rss", "300") as server:
        before = the_lane(server)
        # A gibibyte is touched in less time than memory is looked at where the machine is fast.
        assert ask(server, "/eat").status in (200, 502)
        wait_until(lambda: gone(before))
        still_serves(server, before)
        assert "more than --gil-max-rss 300" in server.output()


def test_a_process_is_replaced_after_its_requests_and_nobody_notices(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path, "--gil-max-requests", "20") as server:
        seen = [ask(server, "/answer") for _ in range(100)]
        assert [answer.status for answer in seen] == [200] * 100
        counts = Counter(answer.json["pid"] for answer in seen)
        assert len(counts) >= 3
        assert max(counts.values()) <= 20
        wait_until(lambda: len(pids(server)) == 1)
        assert server.output().count("DOWN") >= len(counts) - 1


def test_what_a_replaced_process_still_has_to_send_is_sent(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path, "--gil-max-requests", "1") as server:
        for _ in range(3):
            answer = ask(server, "/big?size=40000000")
            assert (answer.status, len(answer.body)) == (200, 40_000_000)


def test_beyond_the_queue_requests_are_answered_503(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path, "--threads", "2", "--gil-backlog", "3") as server, ThreadPoolExecutor(12) as threads:
        the_lane(server)
        answers = [f.result(20) for f in [threads.submit(ask, server, "/sleep?s=1") for _ in range(12)]]
        counts = Counter(answer.status for answer in answers)
        assert counts == {200: 5, 503: 7}
        assert {answer.header("retry-after") for answer in answers if answer.status == 503} == {"1"}


def test_a_lane_that_cannot_start_says_why_and_answers_503(extension: Path, tmp_path: Path) -> None:
    (tmp_path / "lane_only.py").write_text(
        "import sys\nif 'gil_lane.process' in ' '.join(sys.orig_argv):\n    raise ImportError('no library here')\n"
        "from gil_app import *\n"
    )
    with lane_server(extension, tmp_path, app="lane_only:app") as server:
        answer = ask(server, "/answer")
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        assert ask(server, "/").json["pid"] == server.process.pid
        assert "ImportError: no library here" in server.output()
        assert "gil-1 cannot serve" in server.output()
        # It goes on trying, ever more slowly.
        assert server.output().count("gil-1 cannot serve") < 8


def test_a_startup_that_fails_in_the_lane_only(extension: Path, tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text(
        "import sys, contextlib\nimport gil_app\nfrom starlette.applications import Starlette\n"
        "@contextlib.asynccontextmanager\nasync def lifespan(app):\n"
        "    if 'gil_lane.process' in ' '.join(sys.orig_argv): raise ValueError('no licence')\n"
        "    yield {'started': 0}\n"
        "app = Starlette(routes=gil_app.app.routes, lifespan=lifespan)\n"
    )
    with lane_server(extension, tmp_path, app="half:app") as server:
        assert ask(server, "/answer").status == 503
        assert "no licence" in server.output()


def test_nothing_is_left_behind_when_the_server_is_killed(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path) as server, ThreadPoolExecutor(2) as threads:
        lane = the_lane(server)
        waiting = threads.submit(ask, server, "/spin")
        time.sleep(0.5)
        server.process.kill()
        wait_until(lambda: gone(lane), 5)
        with pytest.raises(OSError):
            waiting.result(5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_on_shutdown_what_runs_is_finished_and_the_lane_ends(extension: Path, tmp_path: Path, number: int) -> None:
    with lane_server(extension, tmp_path) as server, ThreadPoolExecutor(2) as threads:
        lane = the_lane(server)
        waiting = threads.submit(ask, server, "/sleep?s=1")
        time.sleep(0.3)
        # As a terminal does: to the whole group.
        os.kill(lane, number)
        assert server.stop(number) == 0
        assert waiting.result(5).status == 200
        assert gone(lane)
        assert f"DOWN {lane}" in server.output()


def test_on_shutdown_a_process_that_will_not_end_is_ended(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path, "--shutdown-timeout", "1") as server, ThreadPoolExecutor(2) as threads:
        lane = the_lane(server)
        waiting = threads.submit(ask, server, "/spin")
        time.sleep(0.5)
        assert server.stop() == 0
        wait_until(lambda: gone(lane), 5)
        try:
            assert waiting.result(5).status in (502, 503)
        except OSError:
            pass


def test_ten_thousand_requests_with_a_crash_every_200(extension: Path, tmp_path: Path) -> None:
    total, every, at_once = 10_000, 200, 16
    crashes = set(range(every // 2, total, every))
    order = list(reversed(range(total)))

    async def client(port: int, numbers: list[int], answers: dict[int, list[tuple[int, bytes]]]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while numbers:
            n = numbers.pop()
            query = b"?crash=1" if n in crashes else b""
            writer.write(b"GET /number/%d%s HTTP/1.1\r\nhost: a\r\n\r\n" % (n, query))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
            body = await reader.readexactly(int(fields[b"content-length"]))
            answers.setdefault(n, []).append((int(head[9:12]), body))
        writer.close()

    async def everybody(port: int) -> dict[int, list[tuple[int, bytes]]]:
        answers: dict[int, list[tuple[int, bytes]]] = {}
        await asyncio.gather(*(client(port, order, answers) for _ in range(at_once)))
        return answers

    with lane_server(extension, tmp_path, "--gil-workers", "2") as server:
        ask(server, "/marked")
        answers = asyncio.run(asyncio.wait_for(everybody(server.port), 170))
        assert ask(server, "/").json["pid"] == server.process.pid
        # Where the machine is busy, several of them meet in one process.
        wait_until(lambda: 0.4 * len(crashes) <= server.output().count("died of SIGABRT") <= len(crashes))
    assert sorted(answers) == list(range(total))
    assert all(len(given) == 1 for given in answers.values())
    bad = 0
    for n, [(status, body)] in answers.items():
        if n in crashes:
            assert status == 502
        elif status == 200:
            assert body == b"%d" % n
        else:
            # It was in the process that crashed.
            assert (status, body) == (502, b"Bad Gateway")
            bad += 1
    assert bad <= len(crashes) * (at_once - 1)
