"""`--workers`: processes, as for uvicorn, and who looks after them."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compat_tests.servers import Server, running
from freelane.server.channel import Channel
from freelane.server.forks import forks
from freelane.server.processes import Processes

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = """
import asyncio, decimal, json, os, contextvars, signal

decimal.getcontext().prec = 5
lock = asyncio.Lock()
variable = contextvars.ContextVar("variable", default="unset")
variable.set("at import")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    if scope["path"] == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    async with lock:
        await asyncio.sleep(0)
    body = json.dumps([os.getpid(), str(decimal.Decimal(1) / 3), variable.get()]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})

async def lifespan(receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("DOWN", flush=True)
    await send({"type": "lifespan.shutdown.complete"})
"""


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def ask(server: Server) -> Any:
    try:
        return json.load(server.get("/"))
    except OSError:
        return None


def test_workers_are_processes_and_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with running(tmp_path, "shop:app", "--workers", "2") as server:
        assert "2 workers" in server.output() and server.output().count(" | SCHED") <= 1
        seen: set[int] = set()

        def both() -> bool:
            pid, *rest = until(lambda: ask(server))
            assert rest == ["0.33333", "at import"]
            seen.add(pid)
            return len(seen) == 2

        until(both)
        victim = min(seen)
        os.kill(victim, signal.SIGKILL)
        until(lambda: f"died with -{signal.SIGKILL.value}; a new one starts" in server.output())
        until(lambda: (found := ask(server)) and found[0] not in seen)
        assert server.stop(timeout=60) == 0
        assert server.output().count("DOWN") == 2


def test_a_worker_that_cannot_start_ends_the_others(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("raise ValueError('no app')")
    with running(tmp_path, "shop:app", "--workers", "3") as server:
        assert server.process.wait(120) == 3
        assert "no app" in server.output() and "Traceback" in server.output()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_obeyed_while_a_worker_waits_to_be_replaced(tmp_path: Path, number: int) -> None:
    """The supervisor in a process of its own, with workers that die at once and say that they served."""
    log = tmp_path / "log"
    log.touch()
    pid = os.fork()
    if not pid:
        sys.stderr = log.open("w", buffering=1)

        def serve(index: int, channel: Channel) -> int:
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
            channel.ready("line")
            if index:
                return 7
            while True:
                signal.pause()

        found = Processes(2, forks(serve), 1)
        found.places[1].delay = 3600.0
        os._exit(found.run())
    until(lambda: "a new one starts in 60 s" in log.read_text())
    os.kill(pid, number)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


PYRE = """
import os
from freelane.adapters.pyre import Pyre
app = Pyre()
@app.get("/")
def count(req): return [os.getpid(), app.state.incr("n")]
"""


def test_the_state_of_a_pyre_app_is_each_process_s_own(tmp_path: Path) -> None:
    """A row of migration_guide/pyre.md."""
    (tmp_path / "shop.py").write_text(PYRE)
    with running(tmp_path, "shop:app", "--workers", "2") as server:
        counts: dict[int, int] = {}

        def both() -> bool:
            pid, count = until(lambda: ask(server))
            assert count == counts.get(pid, 0) + 1
            counts[pid] = count
            return len(counts) == 2

        until(both)
        assert server.stop() == 0
