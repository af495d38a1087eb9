"""Copies of requests: asked of another side within a bound, and compared with what was answered."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from freelane.bench.answer import Answer
from freelane.bench.differences import Rules, diff
from freelane.bench.nature import Nature
from freelane.migration.answers import TooLong
from freelane.migration.counters import DIFFERENT, EQUAL, FAILED, Counters, Seen
from freelane.migration.redact import Redactor
from freelane.migration.sides import Side, Unreachable

logger = logging.getLogger("freelane.error")

# Those that change nothing (RFC 9110, 9.2.1).
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Copies that are asked at once, and what all that wait may hold (bytes).
AT_ONCE, MOST_BYTES = 16, 64 << 20
DROPPED, OFF, ANOTHER = "dropped", "switched off", "not copied"
INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Copy:
    """One request, and what was answered."""

    route: str
    scope: dict[str, Any]
    body: bytes
    answerer: str
    answer: Answer
    # What makes the scope of it; None where it is one.
    complete: Callable[[Any], Any] | None = None

    @property
    def weight(self) -> int:
        return len(self.body) + len(self.answer.body)


class Copier:
    """Asks ``side``. ``lock`` guards what waits; the rest belongs to the side's thread."""

    def __init__(
        self, side: Side, counters: Counters, redactor: Redactor, *, ignored: Iterable[str], methods: Iterable[str], limit: int,
        timeout: float,
    ) -> None:  # fmt: skip
        self.side = side
        self.counters = counters
        self.redactor = redactor
        self.rules = Rules(tuple(ignored))
        self.everything = "*" in methods
        self.methods = SAFE | {method.upper() for method in methods}
        self.limit = limit
        self.timeout = timeout
        self.lock = threading.Lock()
        self.waiting: Counter[str] = Counter()
        self.total = 0
        self.bytes = 0
        self.ready: deque[Copy] = deque()
        self.tasks: set[asyncio.Task[None]] = set()
        self.closed = False

    def wants(self, method: str) -> bool:
        return self.everything or method in self.methods

    def room(self, route: str) -> bool:
        """Whether a copy may be made now; says what became of it where not. No route takes the room of all others."""
        if not self.side.budget.open():
            self.counters.copied(route, OFF)
            return False
        if self.closed or self.total >= self.limit or self.bytes >= MOST_BYTES or 2 * self.waiting[route] >= self.limit:
            self.counters.copied(route, DROPPED)
            return False
        return True

    def offer(self, copy: Copy) -> None:
        """Ask it, soon. Any thread may call; never waits."""
        with self.lock:
            self.waiting[copy.route] += 1
            self.total += 1
            self.bytes += copy.weight
        if not self.side.copier.post(self.take, copy):
            self.let_go(copy)

    def let_go(self, copy: Copy) -> None:
        with self.lock:
            self.waiting[copy.route] -= 1
            self.total -= 1
            self.bytes -= copy.weight

    def take(self, copy: Copy) -> None:
        self.ready.append(copy)
        self.feed()

    def feed(self) -> None:
        while self.ready and len(self.tasks) < AT_ONCE:
            copy = self.ready.popleft()
            task = asyncio.get_running_loop().create_task(self.run(copy))
            self.tasks.add(task)
            task.add_done_callback(self.done)

    def done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            # Its message may quote a request.
            logger.error("A copy could not be compared (%s).", type(exc).__name__)
        self.feed()

    async def run(self, copy: Copy) -> None:
        try:
            if copy.complete is not None:
                copy = replace(copy, scope=copy.complete(copy.scope), complete=None)
            began = time.monotonic()
            try:
                async with asyncio.timeout(self.timeout):
                    answer = await self.side.ask({**copy.scope}, copy.body)
            except TooLong:
                self.counters.copied(copy.route, ANOTHER)
                return
            except TimeoutError:
                answer = Answer(problem=f"no answer within {self.timeout:g} s")
            except Unreachable as exc:
                answer = Answer(problem=str(exc))
            spent = time.monotonic() - began
            if answer.problem is not None:
                self.side.budget.note(True)
                self.counters.copied(copy.route, FAILED)
                await self.side.revive()
                return
            self.side.budget.note(answer.status >= 500 > copy.answer.status)
            self.compare(copy, answer, spent)
        finally:
            self.let_go(copy)

    def compare(self, copy: Copy, answer: Answer, spent: float) -> None:
        places = differing(copy.answer, answer, self.rules)
        self.counters.copied(copy.route, DIFFERENT if places else EQUAL, self.side.name, spent)
        if places:
            self.tell(copy, answer, places)

    def tell(self, copy: Copy, answer: Answer, places: list[str]) -> None:
        """Keep a difference, and log it if it is one of a kind."""
        cover = self.redactor.cover(self.redactor.values(copy.scope, copy.body, (copy.answer, answer)))
        shown = tuple(map(cover.text, places))
        text = diff(copy.answerer, cover.answer(copy.answer), self.side.name, cover.answer(answer), places)
        text = text or "(what differs is redacted)"
        kind = tuple(sorted({INDEX.sub("[]", place) for place in shown}))
        count = self.counters.differs(copy.route, kind, Seen(time.time(), shown, text))
        if str(count).strip("0") == "1":
            some = ", ".join(shown[:8]) + (", ..." if len(shown) > 8 else "")
            logger.warning(
                "%s: %s differs from %s in %s%s\n%s", copy.route, self.side.name, copy.answerer, some,
                f" ({count} of these so far)" if count > 1 else "", text,
            )  # fmt: skip

    async def finish(self, patience: float) -> None:
        """Let what is asked end, on the side's thread; what waits is dropped."""
        self.closed = True
        for copy in self.ready:
            self.counters.copied(copy.route, DROPPED)
            self.let_go(copy)
        self.ready.clear()
        if self.tasks:
            _, late = await asyncio.wait(self.tasks, timeout=patience)
            for task in late:
                task.cancel()


def differing(answer: Answer, copy: Answer, rules: Rules) -> list[str]:
    """The places where they differ, as ``freelane bench`` names them."""
    if answer == copy:
        return []
    return rules.keep(Nature(answer).differing(copy))
