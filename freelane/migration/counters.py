"""What became of requests and copies: by route, side and outcome."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field

# Of each route: times that percentiles are taken of, and differences that are kept.
TIMES, DIFFERENCES = 1000, 5
# Of the differences of one kind the first is logged, the tenth, the hundredth; kinds beyond so many count as one.
KINDS = 1000

# By the first digit of a status; an error is a response that never began.
OUTCOMES = ("error", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx")
EQUAL, DIFFERENT, FAILED = "equal", "different", "failed"


@dataclass(frozen=True, slots=True)
class Seen:
    """One difference, redacted: where two answers differ, and the diff."""

    when: float
    places: tuple[str, ...]
    diff: str


@dataclass(slots=True)
class RouteCounts:
    """Of one route. ``answered`` counts by side and outcome (``2xx``, ``error``), ``copies`` by outcome."""

    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    copies: Counter[str] = field(default_factory=Counter)
    times: dict[str, deque[float]] = field(default_factory=dict)
    seen: deque[Seen] = field(default_factory=lambda: deque(maxlen=DIFFERENCES))

    def copy(self) -> RouteCounts:
        times = {side: values.copy() for side, values in self.times.items()}
        return RouteCounts(self.answered.copy(), self.copies.copy(), times, self.seen.copy())

    def time(self, side: str, seconds: float) -> None:
        if side not in self.times:
            self.times[side] = deque(maxlen=TIMES)
        self.times[side].append(seconds)

    def percentile(self, side: str, part: float) -> float | None:
        """Seconds; None where nothing was timed."""
        values = sorted(self.times.get(side, ()))
        return values[min(int(len(values) * part), len(values) - 1)] if values else None

    def by_side(self) -> Counter[str]:
        """How many requests each side answered."""
        found: Counter[str] = Counter()
        for (side, _), count in self.answered.items():
            found[side] += count
        return found


class Counters:
    """``lock`` guards all of it, for as long as a count takes; any thread may call."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.routes: dict[str, RouteCounts] = {}
        self.kinds: Counter[tuple[str, tuple[str, ...]]] = Counter()

    def of(self, route: str) -> RouteCounts:
        """Under the lock."""
        found = self.routes.get(route)
        if found is None:
            found = self.routes[route] = RouteCounts()
        return found

    def answered(self, route: str, side: str, outcome: str, seconds: float) -> None:
        with self.lock:
            counts = self.of(route)
            counts.answered[side, outcome] += 1
            counts.time(side, seconds)

    def copied(self, route: str, outcome: str, side: str = "", seconds: float | None = None) -> None:
        """A copy that was compared, failed, was dropped or left out; ``seconds`` where the side answered."""
        with self.lock:
            counts = self.of(route)
            counts.copies[outcome] += 1
            if seconds is not None:
                counts.time(side, seconds)

    def differs(self, route: str, kind: tuple[str, ...], seen: Seen) -> int:
        """Keep a difference; returns how many of its kind there are now."""
        with self.lock:
            last = self.of(route).seen
            if not any(other.diff == seen.diff for other in last):
                last.append(seen)
            key = (route, kind) if (route, kind) in self.kinds or len(self.kinds) < KINDS else ("", ())
            self.kinds[key] += 1
            return self.kinds[key]

    def snapshot(self) -> dict[str, RouteCounts]:
        with self.lock:
            return {route: counts.copy() for route, counts in self.routes.items()}
