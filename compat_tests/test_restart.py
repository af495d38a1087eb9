"""Restarts without a request refused or lost: SIGHUP, worn-out processes, kill -9 in the middle, --reload, --workers."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compat_tests.servers import Server, running

pytestmark = [
    pytest.mark.thread_unsafe(reason="starts servers"),
    pytest.mark.skipif(sys.platform != "linux", reason="hand-over is tried on Linux"),
]

APP = """
import os
VERSION = {version!r}
{more}
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({{"type": event["type"] + ".complete"}})
            if event["type"].endswith("shutdown"):
                print("DOWN", VERSION, flush=True)
                return
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}})
    await send({{"type": "http.response.body", "body": f"{{VERSION}} {{os.getpid()}}".encode()}})
"""


def write(directory: Path, version: str, more: str = "") -> None:
    (directory / "shop.py").write_text(APP.format(version=version, more=more))


def until[T](holds: Callable[[], T]) -> T:
    deadline = time.monotonic() + 180
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def ask(server: Server) -> tuple[str, int]:
    version, pid = server.get("/").read().decode().split()
    return version, int(pid)


class Load:
    """Clients that keep their connections and ask without a pause; ``failed`` is what none of them may see."""

    def __init__(self, server: Server, clients: int = 6) -> None:
        self.port = server.port
        self.done = 0
        self.failed: list[str] = []
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        while not self.stopped.is_set():
            try:
                connection.request("GET", "/")
                response = connection.getresponse()
                response.read()
                assert response.status == 200
            except Exception as exc:
                with self.lock:
                    self.failed.append(repr(exc))
                connection.close()
            with self.lock:
                self.done += 1

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def more(self, number: int = 200) -> None:
        wanted = self.done + number
        until(lambda: self.done >= wanted)


def test_hang_ups_under_load_lose_nothing_and_keep_the_pid(tmp_path: Path) -> None:
    write(tmp_path, "one")
    with running(tmp_path, "shop:app") as server:
        with Load(server) as load:
            assert ask(server) == ("one", server.process.pid)
            load.more()
            write(tmp_path, "two")
            server.process.send_signal(signal.SIGHUP)
            until(lambda: ask(server)[0] == "two")
            load.more()
            until(lambda: "DOWN one" in server.output())
            # What cannot start changes nothing, and says why.
            write(tmp_path, "three", "raise ValueError('no such thing')")
            server.process.send_signal(signal.SIGHUP)
            until(lambda: "the old one goes on" in server.output())
            assert "no such thing" in server.output() and ask(server)[0] == "two"
            write(tmp_path, "four")
            server.process.send_signal(signal.SIGHUP)
            until(lambda: ask(server)[0] == "four")
            load.more()
        assert load.failed == []
        (_, pid), main = ask(server), server.process.pid
        assert pid != main
        os.kill(pid, signal.SIGKILL)
        until(lambda: "died with -9" in server.output())
        until(lambda: ask(server)[1] not in (pid, main))
        assert server.stop() == 0
    assert server.output().count("DOWN four") == 1


def test_the_first_successor_that_cannot_start(tmp_path: Path) -> None:
    write(tmp_path, "one")
    with running(tmp_path, "shop:app") as server:
        write(tmp_path, "two", "1 / 0")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "this one goes on" in server.output())
        assert "ZeroDivisionError" in server.output() and ask(server) == ("one", server.process.pid)
        assert server.stop() == 0


@pytest.mark.parametrize("victim", ["old", "new"])
def test_kill_in_the_middle(tmp_path: Path, victim: str) -> None:
    """While the new process starts, which it does once a file is there."""
    write(tmp_path, "one")
    with running(tmp_path, "shop:app") as server:
        write(
            tmp_path, "two",
            "import time, pathlib\npathlib.Path('pid').write_text(str(os.getpid()))\nwhile not os.path.exists('go'): time.sleep(0.05)",
        )  # fmt: skip
        server.process.send_signal(signal.SIGHUP)
        pid = int(until(lambda: (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""))
        if victim == "new":
            os.kill(pid, signal.SIGKILL)
            until(lambda: "it ended with -9" in server.output())
            assert ask(server) == ("one", server.process.pid)
            assert server.stop() == 0
            return
        server.process.kill()
        server.process.wait()
        try:
            (tmp_path / "go").touch()
            until(lambda: "taken over" in server.output() or server.output().count(" | ") > 12)
            # The socket was open all the time.
            assert ask(server) == ("two", pid)
        finally:
            os.kill(pid, signal.SIGTERM)
            until(lambda: not alive(pid))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("limit", ["--limit-max-requests 50 --limit-max-requests-jitter 5", "--limit-max-rss 1"])
def test_worn_out_processes_are_replaced(tmp_path: Path, limit: str) -> None:
    write(tmp_path, "one")
    with running(tmp_path, "shop:app", *limit.split()) as server:
        with Load(server, 2) as load:
            seen = {server.process.pid}

            def third() -> bool:
                seen.add(ask(server)[1])
                return len(seen) >= 3

            until(third)
        assert load.failed == []
        assert server.stop() == 0


def test_workers_are_renewed_one_by_one_and_counted(tmp_path: Path) -> None:
    write(tmp_path, "one")

    def versions(server: Server) -> set[tuple[str, int]]:
        return {ask(server) for _ in range(24)}

    with running(tmp_path, "shop:app", "--workers", "2") as server:
        with Load(server) as load:
            until(lambda: len(versions(server)) == 2)
            write(tmp_path, "two")
            server.process.send_signal(signal.SIGHUP)
            until(lambda: server.output().count("has taken over") == 2 and server.output().count("DOWN one") == 2)
            assert {version for version, _ in versions(server)} == {"two"}
            server.process.send_signal(signal.SIGTTIN)
            until(lambda: len(versions(server)) == 3)
            server.process.send_signal(signal.SIGTTOU)
            until(lambda: "DOWN two" in server.output())
            load.more()
        assert load.failed == []
        assert server.stop() == 0
    assert server.output().count("DOWN two") == 3


@pytest.mark.parametrize("way", ["watchfiles", "poll"])
def test_reload(tmp_path: Path, way: str) -> None:
    if way == "watchfiles":
        pytest.importorskip("watchfiles")
    else:
        (tmp_path / "watchfiles.py").write_text("raise ImportError")
    os.environ["PYTHONPATH"] = str(tmp_path) if way == "poll" else ""
    try:
        write(tmp_path, "one")
        with running(tmp_path, "shop:app", "--reload", "--reload-delay", "0.1") as server:
            with Load(server, 2) as load:
                until(lambda: ask(server)[0] == "one")
                write(tmp_path, "two")
                until(lambda: ask(server)[0] == "two")
            refused = [failure for failure in load.failed if "Refused" in failure]
            assert refused == []
            (tmp_path / "shop.py").write_text("def (\n")
            server.wait_for("waiting for a change")
            assert "SyntaxError" in server.output() and "def (" in server.output()
            answers: list[Any] = []
            waiting = threading.Thread(target=lambda: answers.append(ask(server)))
            waiting.start()
            write(tmp_path, "three")
            waiting.join(180)
            assert answers[0][0] == "three"
            assert server.stop() == 0
    finally:
        os.environ.pop("PYTHONPATH", None)
