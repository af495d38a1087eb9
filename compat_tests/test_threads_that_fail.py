"""Every thread beside the requests outlives what fails in it: it says so, and does its work again."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Client
from typing import Any

import pytest

from freelane.adapters.pyre.state_memory import Memory
from freelane.adapters.pyre.state_server import Remote, StateServer
from freelane.adapters.pyre.threads import GILThread
from freelane.gil_lane.supervisor import LaneProcess, Slot, Supervisor
from freelane.server.worker import tell_end
from freelane.settings import Settings

pytestmark = pytest.mark.thread_unsafe(reason="reads the log")

WAIT_SECONDS = 120.0


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Popen:
    """A process that ends when it is told to."""

    pid = 2**22 + 1  # more than Linux gives

    def __init__(self) -> None:
        self.ended = threading.Event()

    def wait(self) -> int:
        assert self.ended.wait(WAIT_SECONDS)
        return 0


class Watched(Supervisor):
    """Spawns by the functions of ``turns``, one after the other, then ends."""

    def __init__(self, *turns: Callable[[Slot], LaneProcess]) -> None:
        super().__init__("shop:app", Settings(), None, 0)
        self.turns = list(turns)
        self.failures: list[str] = []

    def spawn(self, slot: Slot) -> LaneProcess:
        if len(self.turns) == 1:
            self.stopping.set()
        return self.turns.pop(0)(slot)

    def tell_failure(self, why: str) -> None:
        self.failures.append(why)


def made(slot: Slot, **failing: Callable[..., Any]) -> LaneProcess:
    popen: Any = Popen()
    process = LaneProcess(slot, popen, 1)
    for name, function in failing.items():
        setattr(process, name, function)
    slot.processes.append(process)
    return process


def test_a_slot_is_filled_again_whatever_its_thread_meets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freelane.gil_lane.supervisor.LONGEST", 0.01)
    killed: list[str] = []

    def cannot(slot: Slot) -> LaneProcess:
        raise ValueError("no such thing")

    def lost(slot: Slot) -> LaneProcess:
        def wait() -> int:
            raise OSError("who?")

        return made(slot, wait=wait, kill=killed.append)

    def reaped(slot: Slot) -> LaneProcess:
        """The app has waited for any child of its process, and got this one: waitid knows none of the name."""
        process = made(slot)
        process.ready = True
        process.popen.ended.set()  # type: ignore[attr-defined]
        return process

    supervisor = Watched(cannot, lost, reaped, reaped)
    supervisor.slots[0].launch()
    wait_until(lambda: not supervisor.turns)
    assert supervisor.failures == ["cannot be started: no such thing", "cannot be watched: who?"]
    assert killed == ["it cannot be watched"]


def test_the_watch_of_memory_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("freelane.gil_lane.supervisor.WATCH", 0.001)
    supervisor = Supervisor("shop:app", Settings(gil_max_rss=1), None, 0)
    asked: list[int] = []

    def read_rss() -> int:
        asked.append(1)
        raise KeyError("statm")

    made(supervisor.slots[0], read_rss=read_rss)
    thread = threading.Thread(target=supervisor.watch_memory)
    thread.start()
    wait_until(lambda: len(asked) > 2)
    supervisor.stopping.set()
    thread.join(WAIT_SECONDS)
    assert "The memory of gil-1 cannot be watched" in caplog.text


def test_a_process_stays_where_no_thread_can_be_had_for_the_next(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = Supervisor("shop:app", Settings(), None, 0)
    process = made(supervisor.slots[0])

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    supervisor.slots[0].retire(process, "of its age")
    assert not process.retired and "gil-1 cannot be replaced: can't start new thread" in caplog.text


def test_tasks_beside_the_requests_say_that_they_failed(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise OSError("no /proc")

    async def main() -> None:
        task = asyncio.create_task(fail(), name="The watch for the load")
        task.add_done_callback(tell_end)
        await asyncio.wait([task])
        await asyncio.sleep(0)

    asyncio.run(main())
    assert "The watch for the load has failed" in caplog.text and "no /proc" in caplog.text


def test_shared_state_is_served_again_after_what_its_threads_meet(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    server = StateServer(Memory())
    try:
        remote = Remote(server.url)
        remote.set("a", b"1")
        start, refused = threading.Thread.start, []

        def refuse(thread: threading.Thread) -> None:
            refused.append(thread)
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises((EOFError, OSError)):
            Remote(server.url).get("a")
        monkeypatch.setattr(threading.Thread, "start", start)
        assert refused and Remote(server.url).get("a") == b"1"
        assert "SharedState cannot be reached by another process: can't start new thread" in caplog.text
        # What is no message ends that connection, and a connection that has ended is made again.
        with Client(remote.path, "AF_UNIX", authkey=remote.key) as connection:
            connection.send_bytes(b"\xff no JSON")
            with pytest.raises((EOFError, OSError)):
                connection.recv_bytes()
        remote.local.connection.close()
        with pytest.raises(OSError):
            remote.get("a")
        assert remote.get("a") == b"1"
    finally:
        server.close()


def test_the_thread_of_gil_routes_is_made_again() -> None:
    async def main() -> int:
        owner = GILThread()
        owner.thread = threading.Thread(target=lambda: None)
        owner.thread.start()
        owner.thread.join()
        return await owner.run(lambda: 7)  # type: ignore[no-any-return]

    assert asyncio.run(asyncio.wait_for(main(), WAIT_SECONDS)) == 7
