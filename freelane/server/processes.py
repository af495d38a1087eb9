"""Worker processes: the same app in each, as ``--workers`` means for uvicorn."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from freelane.errors import EXIT_CONFIG, ConfigError

PR_SET_PDEATHSIG = 1
# A worker that dies is replaced after this long, doubled up to a minute while it keeps dying (seconds).
BACK_OFF = 1.0
LONGEST = 60.0
# How often the supervisor looks at its workers (seconds).
LOOK = 0.1
# What a worker gets beyond its own shutdown timeout before it is killed (seconds).
PATIENCE = 10.0


@dataclass
class Place:
    """The place of one worker process and of those that follow it. Times are ``time.monotonic``'s."""

    index: int
    pid: int | None = None
    born: float = 0.0
    delay: float = BACK_OFF
    # When the next process is due; None while one runs.
    due: float | None = 0.0
    # Whether a process has served here.
    served: bool = False


class Processes:
    """Forks ``count`` workers that run ``serve(index, ready)`` and watches them until they have ended.

    A worker calls ``ready(line)`` once it serves; the first line is printed when all do. One that
    ends before any has served ends them all, with its exit code. One that dies later is replaced.
    """

    def __init__(self, count: int, serve: Callable[[int, Callable[[str], None]], int], shutdown_timeout: float) -> None:
        self.serve = serve
        self.places = [Place(index) for index in range(count)]
        self.shutdown_timeout = shutdown_timeout
        self.line: str | None = None
        # When workers that have not ended are killed; None until the end has begun.
        self.deadline: float | None = None
        self.code = 0

    def run(self) -> int:
        """Returns the exit code of this process."""
        handlers = {number: signal.signal(number, self.on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        self.ready, self.told = os.pipe()
        try:
            while self.deadline is None or any(place.pid is not None for place in self.places):
                self.start_due()
                self.hear(LOOK)
                self.bury()
                self.kill_late()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            os.close(self.ready)
            os.close(self.told)
        return self.code

    def on_signal(self, number: int, frame: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """End the workers. Those that a terminal has told already are not told to hurry: SIGTERM does not."""
        if self.deadline is None:
            self.deadline = time.monotonic() + self.shutdown_timeout + PATIENCE
            self.tell(signal.SIGTERM)

    def tell(self, number: int) -> None:
        for place in self.places:
            if place.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(place.pid, number)

    def start_due(self) -> None:
        for place in self.places:
            if self.deadline is None and place.due is not None and time.monotonic() >= place.due:
                place.due = None
                place.born = time.monotonic()
                place.pid = self.fork(place.index)
                if self.deadline is not None:
                    self.tell(signal.SIGTERM)  # a signal came while it was made

    def hear(self, patience: float) -> None:
        """Take what workers say; waits for it for so long."""
        readable, _, _ = select.select([self.ready], [], [], patience)
        if not readable:
            return
        for message in os.read(self.ready, 1 << 16).decode().splitlines():
            index, _, line = message.partition(" ")
            self.places[int(index)].served = True
            self.line = self.line or line
        if self.line and all(place.served for place in self.places):
            print(self.line, file=sys.stderr, flush=True)
            self.line = ""

    def bury(self) -> None:
        for place in self.places:
            if place.pid is None:
                continue
            pid, status = os.waitpid(place.pid, os.WNOHANG)
            if pid:
                place.pid = None
                self.hear(0)  # what it said before it ended
                self.died(place, os.waitstatus_to_exitcode(status))

    def died(self, place: Place, code: int) -> None:
        if self.deadline is not None:
            # One that was told to end, or was killed for taking too long.
            self.code = self.code or (code if code > 0 else 0)
            return
        if not place.served:
            self.code = code if code > 0 else 1
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
            print(f"worker {place.index + 1} {how} before it served: the others are stopped", file=sys.stderr)
            self.stop()
            return
        lived = time.monotonic() - place.born
        place.delay = BACK_OFF if lived > LONGEST else min(place.delay * 2, LONGEST)
        place.due = time.monotonic() + place.delay
        print(f"worker {place.index + 1} died with {code}; a new one starts in {place.delay:.0f} s", file=sys.stderr)

    def kill_late(self) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            print("workers did not end in time and were killed", file=sys.stderr)
            self.code = self.code or 1
            self.tell(signal.SIGKILL)
            self.deadline += PATIENCE

    def fork(self, index: int) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # the supervisor's are none of this process's
        die_with(parent)
        code = 1
        try:
            os.close(self.ready)
            code = self.serve(index, lambda line: self.say(index, line))
            end_process()
        except ConfigError as exc:
            print(f"freelane: {exc}", file=sys.stderr)
            code = EXIT_CONFIG
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1 if exc.code else 0
            if isinstance(exc.code, str):
                print(exc.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def say(self, index: int, line: str) -> None:
        os.write(self.told, f"{index} {line}\n".encode())


def end_process() -> None:
    """What the interpreter does at its end, which a forked process must not reach by returning."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()


def die_with(parent: int) -> None:
    """End this process when the thread that started it ends, however that comes (prctl(2), PR_SET_PDEATHSIG).

    Elsewhere than on Linux it must notice by itself. Exits at once if ``parent`` is gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
