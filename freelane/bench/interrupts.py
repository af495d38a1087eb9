"""Ctrl-C and a plain kill, at every stage: what is started is stopped, and nothing is stopped half."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupts:
    """Turns signals into exceptions, and holds them back where one would leave a process behind.

    Written by the main thread only: signal handlers run there, and so do the sections.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.raised = False
        self.pending: list[int] = []

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        # What unwinds already is not interrupted again; those who wait look at how many have come.
        if self.depth or self.raised:
            self.pending.append(number)
        else:
            self.raise_for(number)

    def raise_for(self, number: int) -> None:
        self.raised = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    def install(self) -> None:
        """For a command: signals raise, the first of them only, until the process ends."""
        for number in SIGNALS:
            signal.signal(number, self.on_signal)

    def ended(self) -> None:
        """For a command that is done: an interpreter that ends is not killed by one more Ctrl-C, its exit code stands."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    @property
    def impatient(self) -> bool:
        """Whether a signal has come again while the first is obeyed."""
        return len(self.pending) > (0 if self.raised else 1)

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Signals raise inside; elsewhere than in the main thread they stay as they are."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if before[signal.SIGINT] != self.on_signal:
                self.raised = False
                self.pending.clear()

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """A signal that comes inside raises at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1
            if self.pending and not self.depth and not self.raised:
                self.raise_for(self.pending.pop(0))


interrupts = Interrupts()
