"""Processes that serve the same sockets: started, watched, replaced, and renewed without a connection lost."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from freelane.server import service_manager
from freelane.server.ledger import Ledger, parse

if TYPE_CHECKING:
    from freelane.server.page import Page

PR_SET_PDEATHSIG = 1
# A worker that dies is replaced after this long, doubled up to a minute while it keeps dying (seconds).
BACK_OFF = 1.0
LONGEST = 60.0
# How often the supervisor looks at its workers (seconds).
LOOK = 0.1
# What a worker gets beyond its own shutdown timeout before it is killed (seconds).
PATIENCE = 10.0
# How often workers are asked what they have counted, where somebody wants to know (seconds): what one that is killed
# had counted since is lost. And how long a page waits for them.
COUNT = 0.5
WAIT = 1.0

# Makes a process for an index that has one end of a socket pair, and returns its pid.
Start = Callable[[int, socket.socket, "list[socket.socket]"], int]


@dataclass(eq=False)
class Process:
    """One process. Times are ``time.monotonic``'s."""

    pid: int
    sock: socket.socket
    born: float
    served: bool = False
    settled: bool = False
    # When it is killed, once it was told to end.
    deadline: float | None = None
    heard: bytes = b""
    # Whether it was asked what it has counted, and has not said so yet.
    asked: bool = False

    def say(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendall(word + b"\n")

    def hear(self) -> list[tuple[str, bytes]] | None:
        """What it says next, words and what follows each; None once it has nothing more to say."""
        try:
            data = self.sock.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            return None
        *lines, self.heard = (self.heard + data).split(b"\n")
        parts = [line.partition(b" ") for line in lines]
        return [(word.decode(), rest) for word, _, rest in parts]

    def ask(self) -> None:
        """Let it say what it has counted."""
        if not self.asked:
            self.asked = True
            with contextlib.suppress(OSError):
                self.sock.send(b"count\n", socket.MSG_DONTWAIT)


@dataclass(eq=False)
class Place:
    """The place of one worker process and of those that follow it."""

    index: int
    current: Process | None = None
    # The successor that is starting, and those that are ending.
    coming: Process | None = None
    leaving: list[Process] = field(default_factory=list)
    delay: float = BACK_OFF
    # When the next process is due; None while one runs.
    due: float | None = 0.0
    # Whether a process has served here, and whether one shall.
    served: bool = False
    wanted: bool = True

    def all(self) -> list[Process]:
        return [process for process in (self.current, self.coming, *self.leaving) if process is not None]


class Processes:
    """Starts ``count`` workers by ``start`` and watches them until they have ended.

    The start line is printed when all serve. A worker that ends before any has served ends them all, with
    its exit code; one that dies later is replaced. SIGHUP renews them one after the other, each old one
    going on until its successor serves; SIGTTIN and SIGTTOU add one and take one away.
    """

    def __init__(self, count: int, start: Start, shutdown_timeout: float) -> None:
        self.start = start
        self.places = [Place(index) for index in range(count)]
        self.shutdown_timeout = shutdown_timeout
        self.line: str | None = None
        # When workers that have not ended are killed; None until the end has begun.
        self.deadline: float | None = None
        self.code = 0
        self.renewing: list[Place] = []
        # What signals asked for; handlers only leave it here.
        self.asked: list[int] = []
        self.released: Callable[[int], object] = lambda index: None
        # What all of them have counted, and the page that shows it.
        self.ledger = Ledger()
        self.page: Page | None = None
        self.counted = 0.0

    def run(self) -> int:
        """Returns the exit code of this process."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        numbers += [getattr(signal, name) for name in ("SIGTTIN", "SIGTTOU") if hasattr(signal, name)]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
            numbers.append(signal.SIGHUP)
        handlers = {number: signal.signal(number, self.on_signal) for number in numbers}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
        terminal = has_terminal()
        try:
            while self.deadline is None or any(place.all() for place in self.places):
                while self.asked:
                    self.obey(self.asked.pop(0), terminal)
                self.start_due()
                self.count()
                self.hear(LOOK, self.page)
                self.bury()
                self.step()
                self.kill_late()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            if self.page is not None:
                self.page.close()
        return self.code

    def on_signal(self, number: int, frame: Any) -> None:
        self.asked.append(number)

    def obey(self, number: int, terminal: bool) -> None:
        if number == signal.SIGHUP and not (terminal and not has_terminal()):
            service_manager.notify("RELOADING=1")
            self.renewing += [place for place in self.places if place not in self.renewing]
        elif number == signal.SIGTTIN:
            self.places.append(Place(max(place.index for place in self.places) + 1))
        elif number == signal.SIGTTOU:
            self.take_one_away()
        else:
            self.stop()

    def stop(self) -> None:
        """End the workers. Those that a terminal has told already are not told to hurry: SIGTERM does not."""
        if self.deadline is None:
            service_manager.notify("STOPPING=1")
            self.deadline = time.monotonic() + self.shutdown_timeout + PATIENCE
            self.renewing.clear()
            self.tell(signal.SIGTERM)

    def tell(self, number: int) -> None:
        for place in self.places:
            for process in place.all():
                kill(process, number)

    def take_one_away(self) -> None:
        there = [place for place in self.places if place.wanted]
        if len(there) == 1:
            print("one worker is left, and none fewer", file=sys.stderr)
            return
        place = there[-1]
        place.wanted, place.due = False, None
        self.released(place.index)
        for process in (place.current, place.coming):
            if process is not None:
                self.retire(place, process)
        place.current = place.coming = None

    def launch(self, place: Place) -> Process:
        ours, theirs = socket.socketpair()
        others = [process.sock for each in self.places for process in each.all()]
        if self.page is not None:
            others.append(self.page.sock)
        try:
            pid = self.start(place.index, theirs, [ours, *others])
        finally:
            theirs.close()
        process = Process(pid, ours, time.monotonic())
        if self.deadline is not None:
            kill(process, signal.SIGTERM)  # a signal came while it was made
        return process

    def start_due(self) -> None:
        for place in self.places:
            if self.deadline is None and place.due is not None and time.monotonic() >= place.due:
                place.due = None
                place.current = self.launch(place)

    def step(self) -> None:
        """Go on with what takes several steps: the renewal of one place after the other."""
        while self.renewing and self.deadline is None:
            place = self.renewing[0]
            if place.coming is not None:
                return
            self.renewing.pop(0)
            if place.wanted and place.current is not None:
                self.renew(place)
                self.renewing.insert(0, place)
                return
        for place in self.places:
            process = place.current
            if process is not None and process.served and not process.settled and not place.leaving:
                process.settled = True
                process.say(b"settled")

    def renew(self, place: Place) -> None:
        """Start the successor of a place's process."""
        if place.coming is None and place.current is not None and place.wanted and self.deadline is None:
            place.coming = self.launch(place)

    def retire(self, place: Place, process: Process) -> None:
        process.deadline = time.monotonic() + self.shutdown_timeout + PATIENCE
        place.leaving.append(process)
        if process.served:
            process.say(b"retire")
        else:
            kill(process, signal.SIGTERM)

    def hear(self, patience: float, page: Page | None = None) -> None:
        """Take what workers say, and then who asks for the page; waits for it for so long."""
        heard = {
            process.sock: (place, process) for place in self.places for process in place.all() if process.sock.fileno() >= 0
        }
        readable, _, _ = select.select([*heard, *([] if page is None else [page.sock])], [], [], patience)
        for sock, (place, process) in heard.items():
            if sock in readable:
                self.take(place, process)
        if page is not None and page.sock in readable:
            page.answer()

    def take(self, place: Place, process: Process) -> bool:
        """Take what a worker says; False once it says nothing more."""
        words = process.hear()
        if words is None:
            process.sock.close()
            return False
        for word, rest in words:
            if word == "ready":
                self.serves(place, process, rest.decode())
            elif word == "renew" and process is place.current and place not in self.renewing:
                self.renewing.append(place)
            elif word == "counts":
                process.asked = False
                self.ledger.take(process, place.index, parse(rest))
        return True

    def count(self) -> None:
        """Ask the workers now and then what they have counted."""
        if self.page is not None and time.monotonic() - self.counted > COUNT:
            self.counted = time.monotonic()
            for place in self.places:
                for process in place.all():
                    process.ask()

    def refresh(self) -> None:
        """Ask the workers that serve what they have counted, and wait for them."""
        asked = [process for place in self.places for process in place.all() if process.served]
        for process in asked:
            process.ask()
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline and any(process.asked and process.sock.fileno() >= 0 for process in asked):
            self.hear(LOOK)

    def serves(self, place: Place, process: Process, line: str) -> None:
        process.served = place.served = True
        if process is place.coming:
            old, place.current, place.coming = place.current, process, None
            if place in self.renewing:
                self.renewing.remove(place)
            if old is not None:
                self.retire(place, old)
            print(f"worker {place.index + 1}: a new process, {process.pid}, has taken over", file=sys.stderr, flush=True)
            if not self.renewing:
                service_manager.notify("READY=1")
            return
        self.line = line if self.line is None else self.line
        if self.line and all(place.served for place in self.places):
            service_manager.announce(self.line)
            self.line = ""

    def bury(self) -> None:
        for place in list(self.places):
            for process in place.all():
                try:
                    pid, status = os.waitpid(process.pid, os.WNOHANG)
                except ChildProcessError:
                    pid, status = process.pid, 0
                if pid:
                    # What it said before it ended.
                    while process.sock.fileno() >= 0 and select.select([process.sock], [], [], 0)[0]:
                        self.take(place, process)
                    process.sock.close()
                    self.ledger.end(process)
                    self.died(place, process, os.waitstatus_to_exitcode(status))
            if not place.wanted and not place.all():
                self.places.remove(place)

    def died(self, place: Place, process: Process, code: int) -> None:
        if process in place.leaving:
            place.leaving.remove(process)
            return
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        if process is place.coming:
            place.coming = None
            if place in self.renewing:
                self.renewing.remove(place)
            if self.deadline is None:
                print(f"worker {place.index + 1}: the new process {how} before it served: the old one goes on", file=sys.stderr)
                service_manager.notify("READY=1")
                if place.current is None:
                    self.replace(place, process, how)
            return
        place.current = None
        if self.deadline is not None:
            # One that was told to end, or was killed for taking too long.
            self.code = self.code or (code if code > 0 else 0)
        elif not place.served:
            self.code = code if code > 0 else 1
            print(f"worker {place.index + 1} {how} before it served: the others are stopped", file=sys.stderr)
            self.stop()
        elif place.coming is None:
            self.replace(place, process, f"died with {code}")

    def replace(self, place: Place, process: Process, how: str) -> None:
        lived = time.monotonic() - process.born
        place.delay = BACK_OFF if lived > LONGEST else min(place.delay * 2, LONGEST)
        place.due = time.monotonic() + place.delay
        print(f"worker {place.index + 1} {how}; a new one starts in {place.delay:.0f} s", file=sys.stderr)

    def kill_late(self) -> None:
        now = time.monotonic()
        for place in self.places:
            for process in place.leaving:
                if process.deadline is not None and now > process.deadline:
                    kill(process, signal.SIGKILL)
        if self.deadline is not None and now > self.deadline:
            print("workers did not end in time and were killed", file=sys.stderr)
            self.code = self.code or 1
            self.tell(signal.SIGKILL)
            self.deadline += PATIENCE


def kill(process: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)


def has_terminal() -> bool:
    """Whether this process has a terminal that can be opened; one that was hung up cannot."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def die_with(parent: int) -> None:
    """End this process when the thread that started it ends, however that comes (prctl(2), PR_SET_PDEATHSIG).

    Elsewhere than on Linux it must notice by itself. Exits at once if ``parent`` is gone already.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
