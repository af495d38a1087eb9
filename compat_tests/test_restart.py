"""Restarts without a request refused or lost: SIGHUP, worn-out processes, kill -9 in the middle, --reload, --workers."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from compat_tests.servers import Server, running

pytestmark = [
    pytest.mark.thread_unsafe(reason="starts servers"),
    pytest.mark.skipif(sys.platform != "linux", reason="hand-over is tried on Linux"),
]

APP = """
import asyncio, os
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
    while scope["path"] == "/hold" and not os.path.exists("release"):
        await asyncio.sleep(0.05)
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


class Failure(NamedTuple):
    """A request that failed; ``pid`` is who answered on its connection before, and ``era`` when that was opened."""

    error: str
    pid: int | None
    era: int


class Load:
    """Clients that keep their connections and ask without a pause; ``failed`` is what none of them may see.

    The era is how many processes were killed; of a request that was in one of them nothing can be expected.
    """

    def __init__(self, server: Server, clients: int = 6) -> None:
        self.port = server.port
        self.done = 0
        self.failed: list[Failure] = []
        self.era = 0
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def run(self) -> None:
        connection, pid, era = None, None, 0
        while not self.stopped.is_set():
            if connection is None:
                connection, pid, era = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120), None, self.era
            try:
                connection.request("GET", "/")
                response = connection.getresponse()
                body = response.read()
                assert response.status == 200
                if response.getheader("connection") == "close":
                    connection, pid, era = None, None, 0
                else:
                    pid = int(body.split()[1])
            except Exception as exc:
                with self.lock:
                    self.failed.append(Failure(repr(exc), pid, era))
                connection = None
            with self.lock:
                self.done += 1

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid))
        self.era += 1

    def lost(self, victim: int) -> list[Failure]:
        """The requests that failed though they were not in the process that was killed."""
        return [failure for failure in self.failed if failure.era > 0 or failure.pid not in (None, victim)]

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


GATE = (
    "import time, pathlib\npathlib.Path('pid').write_text(str(os.getpid()))\nwhile not os.path.exists('go'): time.sleep(0.05)"
)


@pytest.mark.parametrize("moment", ["starting", "draining"])
@pytest.mark.parametrize("victim", ["old", "new"])
@pytest.mark.parametrize("workers", [1, 2])
def test_kill_in_the_middle_under_load(tmp_path: Path, workers: int, victim: str, moment: str) -> None:
    """While the new process starts, which it does once a file is there; or while the old one still has a request."""
    write(tmp_path, "one")
    left: list[int] = []
    with running(tmp_path, "shop:app", "--workers", str(workers), "--shutdown-timeout", "60") as server, Load(server) as load:
        main = server.process.pid
        old = main if workers == 1 else children(main)[0]
        load.more()
        held = [threading.Thread(target=hold, args=(server,)) for _ in range(6 if moment == "draining" else 0)]
        for thread in held:
            thread.start()
        load.more()
        write(tmp_path, "two", GATE)
        server.process.send_signal(signal.SIGHUP)
        new = int(until(lambda: (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""))
        if moment == "draining":
            (tmp_path / "go").touch()
            until(lambda: "taken over" in server.output())
            load.more()
        killed = old if victim == "old" else new
        load.kill(killed)
        try:
            if killed == main:
                left.append(new)
            if victim == "new" and moment == "starting":
                until(lambda: "the old one goes on" in server.output() or "this one goes on" in server.output())
                load.more()
                assert ask(server)[0] == "one"
            else:
                (tmp_path / "go").touch()
                until(lambda: ask(server)[0] == "two")
                load.more()
            (tmp_path / "release").touch()
            for thread in held:
                thread.join()
            if victim == "new" and moment == "draining":
                until(lambda: ask(server)[1] not in (old, new) or workers == 2)
            if killed != main:
                load.stopped.set()
                assert server.stop() == 0
        finally:
            (tmp_path / "go").touch()
            load.stopped.set()
            for pid in left:
                os.kill(pid, signal.SIGTERM)
                until(lambda: not alive(pid))
    assert load.lost(killed) == []
    # A client can lose one request, or another one on a connection that it opened while the process died.
    assert len(load.failed) <= 2 * len(load.threads)


def hold(server: Server) -> None:
    """Keep a request open, and do not mind its end."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        server.get("/hold").read()


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


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
            refused = [failure for failure in load.failed if "Refused" in failure.error]
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
