"""Start, watch, end and replace the lane processes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from freelane.errors import EXIT_STARTUP
from freelane.fastcore.lane.client import Load
from freelane.settings import Settings

logger = logging.getLogger("freelane.error")

# A process that was of no use is replaced after this long, doubled while that goes on (seconds).
BACK_OFF = 0.1
LONGEST = 30.0
# How often memory is looked at (seconds).
WATCH = 0.1
SOCKET_BUFFER = 4 << 20


class LaneProcess:
    """One process of a slot. ``lock`` guards ``ended``; the pid is not reused before it is set."""

    def __init__(self, slot: Slot, popen: subprocess.Popen[bytes], workers: int) -> None:
        self.slot = slot
        self.popen = popen
        self.pid = popen.pid
        self.born = time.monotonic()
        self.loads = [Load() for _ in range(workers)]
        self.lock = threading.Lock()
        self.ended = False
        self.retired = False
        self.ready = False
        self.reason = ""
        self.failure: str | None = None
        self.told = threading.Event()
        self.lost = 0
        self.rss = 0

    @property
    def busy(self) -> int:
        return sum(load.busy for load in self.loads)

    @property
    def requests(self) -> int:
        return sum(load.requests for load in self.loads)

    def count(self) -> None:
        """A request was handed over."""
        most = self.slot.supervisor.settings.gil_max_requests
        if most is not None and not self.retired and self.requests >= most:
            self.slot.retire(self, f"it has had --gil-max-requests {most}")

    def on_ready(self) -> None:
        self.ready = True
        self.read_rss()

    def on_failed(self, reason: str) -> None:
        self.failure = reason
        self.told.set()

    def loss_status(self, call: Any) -> int:
        """What a request is answered that this process did not answer."""
        return 502

    def kill(self, reason: str) -> None:
        with self.lock:
            if not self.ended:
                self.reason = self.reason or reason
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Block until the process has ended; returns its exit code, negative for a signal."""
        with contextlib.suppress(ChildProcessError):  # the app has waited for any child, and got this one
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self.lock:
            self.ended = True
            return self.popen.wait()

    def read_rss(self) -> int:
        """Resident memory in bytes; 0 where that cannot be read (elsewhere than on Linux)."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:
                self.rss = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        except (OSError, ValueError, IndexError):
            self.rss = 0
        self.slot.most_rss = max(self.slot.most_rss, self.rss)
        return self.rss


class Slot:
    """The place of one lane process and of those that follow it. ``lock`` guards ``current``."""

    def __init__(self, supervisor: Supervisor, number: int) -> None:
        self.supervisor = supervisor
        self.number = number
        self.name = f"gil-{number}"
        self.lock = threading.Lock()
        self.current: LaneProcess | None = None
        self.processes: list[LaneProcess] = []
        self.failures = 0
        self.restarts = 0
        self.most_rss = 0
        # Of processes that have ended.
        self.requests = 0
        self.waited = 0.0
        self.worked = 0.0

    def launch(self) -> None:
        """Run one process, and what replaces it, on a thread that lives as long.

        Linux ends a process whose parent *thread* ends, by the signal it asked for.
        """
        threading.Thread(target=self.keep, name=f"freelane-{self.name}", daemon=True).start()

    def keep(self) -> None:
        supervisor = self.supervisor
        while not supervisor.stopping.is_set():
            process = None
            try:
                process = supervisor.spawn(self)
                code = process.wait()
                self.bury(process)
                if process.retired or supervisor.stopping.is_set():
                    return
                self.died(process, code)
            except Exception as exc:
                # Nobody else looks after this slot.
                if process is not None and not process.ended:
                    process.kill("it cannot be watched")
                self.failed(f"cannot be {'started' if process is None else 'watched'}: {exc or type(exc).__name__}")

    def bury(self, process: LaneProcess) -> None:
        with self.lock:
            self.processes.remove(process)
            for load in process.loads:
                self.requests += load.requests
                self.waited += load.waited
                self.worked += load.worked
            if self.current is process:
                self.current = None

    def died(self, process: LaneProcess, code: int) -> None:
        self.restarts += 1
        if code == EXIT_STARTUP:
            # It said why, but a worker's loop may not have read that yet.
            process.told.wait(1)
        if process.failure is not None:
            self.failed(f"cannot serve:\n{process.failure.rstrip()}")
            return
        if not process.ready:
            self.failed(f"{describe(code)} before it was ready{hint(code, self.supervisor.settings)}")
            return
        why = process.reason or describe(code)
        # One that did some work is replaced at once, one that dies of its first request is not.
        useful = process.requests - process.lost > 0 or time.monotonic() - process.born > 10
        self.failures = 0 if useful else self.failures + 1
        delay = self.delay()
        logger.error("%s (pid %d) was ended: %s. A new one starts %s.", self.name, process.pid, why,
                     f"in {delay:.1f} s" if delay else "now")  # fmt: skip
        self.supervisor.stopping.wait(delay)

    def delay(self) -> float:
        return min(LONGEST, BACK_OFF * 2 ** min(self.failures - 1, 16)) if self.failures else 0.0

    def failed(self, why: str) -> None:
        """A process could not start: nobody is to wait for it until the next one can."""
        self.failures += 1
        # An import error stays until somebody mends it.
        self.failures = max(self.failures, 3)
        delay = self.delay()
        logger.error("%s %s\nIts requests are answered 503; the next try is in %.1f s.", self.name, why, delay)
        self.supervisor.tell_failure(why)
        self.supervisor.stopping.wait(delay)

    def retire(self, process: LaneProcess, reason: str) -> None:
        """Let ``process`` finish what it has, and start another in its place."""
        with self.lock:
            if process.retired or self.supervisor.stopping.is_set():
                return
            process.retired = True
        logger.info("%s (pid %d) is replaced: %s.", self.name, process.pid, reason)
        try:
            self.launch()
        except RuntimeError as exc:  # no more threads for now
            logger.error("%s cannot be replaced: %s.", self.name, exc)
            process.retired = False
            return
        self.restarts += 1
        self.supervisor.tell_retired(process)


class Supervisor:
    """The lane processes of one server process.

    ``clients`` are the ``LaneClient`` of each worker, reached through its loop's lane.
    """

    def __init__(self, target: str, settings: Settings, state: str | None, checksum: int) -> None:
        self.target = target
        # Of the app's routes.
        self.checksum = checksum
        # Where the app's processes find what they share.
        self.state = state
        self.settings = settings
        self.clients: list[Any] = []
        self.slots = [Slot(self, number) for number in range(1, settings.gil_workers + 1)]
        self.stopping = threading.Event()

    def start(self, clients: Sequence[Any]) -> None:
        self.clients = list(clients)
        for slot in self.slots:
            slot.launch()
        threading.Thread(target=self.watch_memory, name="freelane-gil-memory", daemon=True).start()

    def spawn(self, slot: Slot) -> LaneProcess:
        pairs = [socket.socketpair() for _ in self.clients]
        for pair in pairs:
            for sock in pair:
                sock.setblocking(False)
                for name in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                    sock.setsockopt(socket.SOL_SOCKET, name, SOCKET_BUFFER)
        theirs = [pair[1] for pair in pairs]
        fds = [sock.fileno() for sock in theirs]
        try:
            popen = subprocess.Popen(
                [*lane_python(self.settings), "-m", "freelane.gil_lane.process"],
                pass_fds=fds,
                stdin=subprocess.PIPE,
                env={name: value for name, value in os.environ.items() if name != "PYTHON_GIL"},
            )
        except OSError:
            for ours, _ in pairs:
                ours.close()
            raise
        finally:
            for sock in theirs:
                sock.close()
        # Not as an argument: anybody on the machine may read those, and the key of the app's state is here.
        assert popen.stdin is not None
        with contextlib.suppress(BrokenPipeError), popen.stdin as spec:
            spec.write(self.spec(slot.name, fds))
        process = LaneProcess(slot, popen, len(self.clients))
        with slot.lock:
            slot.current = process
            slot.processes.append(process)
        for client, (ours, _) in zip(self.clients, pairs):
            if not client.post(client.attach, (process, ours)):
                ours.close()
        return process

    def spec(self, name: str, fds: list[int]) -> bytes:
        settings = self.settings
        spec = {
            "parent": os.getpid(), "name": name, "fds": fds, "target": self.target,
            "loading": settings.loading, "lifespan": settings.lifespan, "threads": settings.threads,
            "backlog": settings.threads_backlog, "logging": settings.logging,
            "shutdown_timeout": settings.patience, "state": self.state,
            "root_path": settings.root_path, "routes": self.checksum,
        }  # fmt: skip
        return json.dumps(spec).encode()

    def tell_failure(self, why: str) -> None:
        for client in self.clients:
            client.post(client.fail, why)

    def tell_retired(self, process: LaneProcess) -> None:
        for client in self.clients:
            client.post(client.dismiss, process)

    def watch_memory(self) -> None:
        """Look at every process's memory, and end one that has more than it may."""
        limit = (self.settings.gil_max_rss or 0) << 20
        while not self.stopping.wait(WATCH if limit else 1.0):
            for slot in self.slots:
                try:
                    self.look(slot, limit)
                except Exception as exc:
                    logger.error("The memory of %s cannot be watched\n", slot.name, exc_info=exc)

    def look(self, slot: Slot, limit: int) -> None:
        for process in list(slot.processes):
            rss = process.read_rss()
            if limit and rss > limit:
                process.kill(f"it had {rss >> 20} MiB, more than --gil-max-rss {limit >> 20}")
            elif limit and rss > limit * 0.9 and not process.retired and process.requests and not process.busy:
                slot.retire(process, f"it has {rss >> 20} MiB, close to --gil-max-rss {limit >> 20}")

    def stop(self) -> None:
        """End every process: those that are done at once, the rest after ``--shutdown-timeout``."""
        self.stopping.set()
        deadline = time.monotonic() + self.settings.patience
        processes = [process for slot in self.slots for process in list(slot.processes)]
        while any(not process.ended for process in processes) and time.monotonic() < deadline:
            time.sleep(0.01)
        for process in processes:
            process.kill("the server has stopped")
        for process in processes:
            while not process.ended:
                time.sleep(0.01)


def lane_python(settings: Settings) -> list[str]:
    """The interpreter of the lane processes, with the GIL on."""
    if settings.gil_python is not None:
        return [settings.gil_python]
    return [sys.executable, "-X", "gil=1"] if sysconfig.get_config_var("Py_GIL_DISABLED") else [sys.executable]


def describe(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"it exited with {code}"
    try:
        return f"it died of {signal.Signals(-code).name}"
    except ValueError:
        return f"it died of signal {-code}"


def hint(code: int, settings: Settings) -> str:
    if code == 1 and settings.gil_python is not None:
        name = Path(settings.gil_python).name
        return f" (does --gil-python have freelane? `{name} -m pip install freelane` and what the app needs)"
    return ""
