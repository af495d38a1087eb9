"""A new process on the same sockets, with what the code is now; the old one goes on until it serves.

A server that has no supervisor starts its successor itself. Once that serves, the old one drains, runs the
app's shutdown, and this process becomes a supervisor (``freelane.server.keeper``) under the same pid: who
started it sees one process that goes on. Nothing is started, and no memory used, before the first hand-over.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from freelane.server import service_manager
from freelane.server.channel import Channel
from freelane.server.forks import end_process
from freelane.server.ledger import Ledger, Measures, parse
from freelane.server.processes import WAIT, Process, Start, kill
from freelane.server.sockets import Listener

if TYPE_CHECKING:
    from freelane.server.page import Page

logger = logging.getLogger("freelane.error")

# What a process that takes over finds in its environment.
VARIABLE = "FREELANE_HANDOVER"
# How a process of this kind is started again; before the app can change any of it.
COMMAND = [sys.executable, *sys.orig_argv[1:]]
DIRECTORY = os.getcwd()
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != VARIABLE}


def describe(listener: Listener) -> dict[str, Any]:
    """What a process needs to know of sockets that it inherits."""
    # Workers may share one.
    return {"fds": [sock.fileno() for sock in listener.sockets], "address": listener.address, "port": listener.port}


def spawns(listener: Listener, command: list[str], environment: dict[str, str], directory: str) -> Start:
    """What starts the command again, with the listener's sockets."""

    def start(index: int, sock: socket.socket, others: list[socket.socket]) -> int:
        told = {**describe(listener), "channel": sock.fileno()}
        fds = {*told["fds"], sock.fileno()}
        process = subprocess.Popen(
            command, cwd=directory, env={**environment, VARIABLE: json.dumps(told)}, pass_fds=tuple(fds)
        )  # fmt: skip
        process.returncode = 0  # who watches it waits for the pid
        return process.pid

    return start


def inherited() -> tuple[Listener, Channel] | None:
    """The sockets of a process that was started to take over, and its line to who started it."""
    text = os.environ.pop(VARIABLE, None)
    if text is None:
        return None
    told = json.loads(text)
    for fd in {*told["fds"], told["channel"]}:
        os.set_inheritable(fd, False)
    made = {fd: socket.socket(fileno=fd) for fd in set(told["fds"])}
    sockets = tuple(made[fd] for fd in told["fds"])
    return Listener(sockets, told["address"], told["port"]), Channel(socket.socket(fileno=told["channel"]))


class HandOver:
    """The successor of a server without a supervisor. ``begin`` may be called from a signal handler."""

    def __init__(
        self, listener: Listener, patience: float, retire: Callable[[], None], ended: Callable[[], bool], measures: Measures
    ) -> None:
        self.listener = listener
        self.patience = patience
        self.retire = retire
        self.ended = ended
        self.measures = measures
        # What this process and its successor have counted, and the page that shows it.
        self.ledger = Ledger()
        self.page: Page | None = None
        self.start = spawns(listener, COMMAND, ENVIRONMENT, DIRECTORY)
        # Guards the two below: the keeper must know every process that was started.
        self.lock = threading.Lock()
        self.child: Process | None = None
        self.thread: threading.Thread | None = None
        # Whether a successor serves, so that this process ends.
        self.taken = False
        # Whether a further one was asked for meanwhile, which is the keeper's.
        self.again = False
        # The end of a pipe that has the numbers of signals that came since this process was about to become the keeper.
        self.signals: int | None = None

    def begin(self) -> None:
        if self.taken:
            self.again = True
        elif self.thread is None or not self.thread.is_alive():
            self.thread = threading.Thread(target=self.run, name="freelane-handover", daemon=True)
            self.thread.start()

    def run(self) -> None:
        service_manager.notify("RELOADING=1")
        while True:
            with self.lock:
                ours, theirs = socket.socketpair()
                self.child = process = Process(self.start(0, theirs, []), ours, time.monotonic())
                theirs.close()
            self.watch(process)
            self.ledger.end(process)
            with self.lock:
                code = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
                self.child = None
            if not self.taken:
                logger.error("The new process could not start (it ended with %d): this one goes on.", code)
                service_manager.notify("READY=1")
                return
            logger.error("The new process died with %d: another one starts.", code)
            time.sleep(1)

    def watch(self, process: Process) -> None:
        """Until the process has ended. Once it serves this one has nothing more to do."""
        while (words := process.hear()) is not None:
            for word, rest in words:
                if word == "renew":
                    self.again = True
                elif word == "counts":
                    process.asked = False
                    self.ledger.take(process, 0, parse(rest))
                elif word == "ready" and not process.served:
                    process.served = True
                    if not self.taken:
                        self.taken = True
                        logger.info("The new process, %d, has taken over.", process.pid)
                        service_manager.notify("READY=1")
                        self.retire()

    def refresh(self) -> None:
        """Bring the ledger up to date, on the page's thread."""
        process = self.child
        if process is not None and process.served:
            process.ask()
        self.ledger.take(self, 0, self.measures.read())
        deadline = time.monotonic() + WAIT
        while process is not None and process.served and process.asked and time.monotonic() < deadline:
            time.sleep(0.01)

    def dismiss(self) -> None:
        """This process was told to end: so is its successor."""
        with self.lock:
            if self.child is not None:
                kill(self.child, signal.SIGTERM)
                self.child.say(b"settled")

    def become_keeper(self, deadline: float) -> NoReturn:
        """End what still runs here, at the latest at ``deadline`` (``time.monotonic``), and watch the successor."""
        self.note_signals()
        timer = threading.Timer(max(1.0, deadline - time.monotonic()), self.execute)
        timer.daemon = True
        timer.start()
        end_process()
        self.execute()

    def note_signals(self) -> None:
        """Keep the signals that still come here for the keeper: whatever thread the system gives them to."""
        self.signals, noted = os.pipe()
        os.set_blocking(noted, False)
        with contextlib.suppress(ValueError):  # not the main thread
            signal.set_wakeup_fd(noted, warn_on_full_buffer=False)

    def execute(self) -> NoReturn:
        if self.signals is None:
            self.note_signals()
        # They wait until the keeper has its handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        if self.page is not None:
            self.page.pause()
        self.lock.acquire()
        child = self.child
        self.ledger.take(self, 0, self.measures.read())
        self.ledger.end(self)
        state: dict[str, Any] = {
            **describe(self.listener), "uds": self.listener.uds, "again": self.again, "ended": self.ended(),
            "signals": self.signals, "patience": self.patience,
            "command": COMMAND,
            "child": None if child is None else [child.pid, child.sock.fileno(), child.served],
            "page": None if self.page is None else self.page.sock.fileno(), "counted": self.ledger.kept(),
        }  # fmt: skip
        # Too much for an argument, perhaps.
        file = tempfile.TemporaryFile()
        file.write(json.dumps(state).encode())
        file.flush()
        passed = [file.fileno(), self.signals, *state["fds"], *([] if child is None else [child.sock.fileno()])]
        for fd in {*passed, *([] if self.page is None else [self.page.sock.fileno()])}:
            os.set_inheritable(fd, True)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os.chdir(DIRECTORY)
        command = [sys.executable, "-m", "freelane.server.keeper", str(file.fileno())]
        os.execve(sys.executable, command, ENVIRONMENT)
