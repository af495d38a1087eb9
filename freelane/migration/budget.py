"""The error budget of a side: what fails too often is switched off, and tried again."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

logger = logging.getLogger("freelane.error")

# Answers that are looked at, and how few say nothing; a side that is tried again has less credit.
LAST = 100
LEAST, LEAST_ON_TRIAL = 20, 3
# Each time that a side fails its trial the pause doubles, up to so many seconds.
LONGEST = 600.0


class Budget:
    """Of one side: at most ``percent`` of its last answers may fail. ``lock`` guards all of it; any thread may call."""

    def __init__(self, name: str, percent: float, pause: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.percent = percent
        self.first_pause = self.pause = pause
        self.clock = clock
        self.lock = threading.Lock()
        self.last: deque[bool] = deque(maxlen=LAST)
        self.failed = 0
        # When a side that is off is tried again; None while it is on.
        self.due: float | None = None
        self.trial = False

    @property
    def off(self) -> bool:
        return self.due is not None

    def open(self) -> bool:
        """Whether the side is asked; one that is off is on trial once its pause is over."""
        if self.due is None:
            return True
        with self.lock:
            if self.due is None or self.clock() < self.due:
                return self.due is None
            self.due, self.trial = None, True
            self.last.clear()
            self.failed = 0
        logger.warning("%s is tried again.", self.name)
        return True

    def note(self, failed: bool) -> None:
        """An answer, or what stands for one that failed."""
        if not failed and not self.failed and not self.trial:
            return  # nothing to weigh: the common case takes no lock
        with self.lock:
            if self.due is not None:
                return
            if len(self.last) == LAST:
                self.failed -= self.last[0]
            self.last.append(failed)
            self.failed += failed
            counted = len(self.last)
            if self.trial and counted >= LEAST and self.failed * 100 <= self.percent * counted:
                self.trial, self.pause = False, self.first_pause
                return
            if counted < (LEAST_ON_TRIAL if self.trial else LEAST) or self.failed * 100 <= self.percent * counted:
                return
            self.pause = min(self.pause * 2, LONGEST) if self.trial else self.first_pause
            self.due = self.clock() + self.pause
            failures = self.failed
        logger.warning(
            "%s is switched off: %d of its last %d answers failed. It is tried again in %g s.",
            self.name, failures, counted, self.pause,
        )  # fmt: skip
