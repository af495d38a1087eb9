"""What the processes of a server count, in a form that goes over a channel, and added up over all of them."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

logger = logging.getLogger("freelane.error")

# Upper bounds of a duration's buckets (seconds), those of Prometheus's own clients.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class Family(NamedTuple):
    """One metric: ``rows`` are label values and a number, or of a histogram its sum and the count of each bucket.

    A ``counter`` and a ``histogram`` go on where a process has ended; a ``gauge`` and a ``peak`` are of processes that
    live, each worker's alone. Where a worker has two processes, which a restart gives it, gauges are added and of
    peaks the higher one counts.
    """

    kind: str
    name: str
    help: str
    labels: list[str]
    rows: list[tuple[list[str], Any]]


class Measures:
    """What one process counts. ``sources`` give families; one that fails is told once, counted, and left out."""

    def __init__(self, *sources: Callable[[], Iterable[Family]]) -> None:
        self.sources = sources
        # By a source's name; read and written by whoever reads the measures, one at a time.
        self.failures: dict[str, int] = {}
        self.lock = threading.Lock()

    def read(self) -> list[Family]:
        found: list[Family] = []
        with self.lock:
            for source in self.sources:
                try:
                    found += source()
                except Exception as exc:
                    name = f"{source.__module__}.{source.__qualname__}"
                    if name not in self.failures:
                        logger.error("Metrics of %s are missing.\n", name, exc_info=exc)
                    self.failures[name] = self.failures.get(name, 0) + 1
            rows = [([name], count) for name, count in self.failures.items()]
        return [*found, Family("counter", "freelane_metrics_failures", "Sources that could not be read.", ["source"], rows)]

    def text(self) -> str:
        return json.dumps(self.read())


def parse(text: bytes) -> list[Family]:
    return [Family(kind, name, help, labels, [(values, number) for values, number in rows])
            for kind, name, help, labels, rows in json.loads(text)]  # fmt: skip


class Ledger:
    """The counts of all processes of a server, by process; ``ended`` is what those that are no more have left."""

    def __init__(self, ended: Iterable[Family] = ()) -> None:
        # Guards the two: a page's thread reads what others write.
        self.lock = threading.Lock()
        self.live: dict[Any, tuple[int, list[Family]]] = {}
        self.ended: dict[str, Sum] = {}
        for family in ended:
            self.leave(family)

    def take(self, process: Any, worker: int, families: list[Family]) -> None:
        """What a process of a worker has counted by now."""
        with self.lock:
            self.live[process] = worker, families

    def end(self, process: Any) -> None:
        """A process is no more: keep what it had counted."""
        with self.lock:
            _, families = self.live.pop(process, (0, []))
            for family in families:
                self.leave(family)

    def leave(self, family: Family) -> None:
        if family.kind in ("counter", "histogram"):
            self.ended.setdefault(family.name, Sum(family)).add(family.rows, [])

    def kept(self) -> list[Family]:
        """What has to be told to who goes on in this process's place."""
        with self.lock:
            return [found.family() for found in self.ended.values()]

    def families(self) -> list[Family]:
        """The sums; those of living processes have a label more, the worker."""
        with self.lock:
            sums = {name: found.copy() for name, found in self.ended.items()}
            for worker, families in self.live.values():
                for family in families:
                    more = [] if family.kind in ("counter", "histogram") else [str(worker + 1)]
                    if family.name not in sums:
                        sums[family.name] = Sum(family, ["worker"] if more else [])
                    sums[family.name].add(family.rows, more)
        return [found.family() for found in sums.values()]


class Sum:
    """One family of several processes."""

    def __init__(self, family: Family, more: Iterable[str] = ()) -> None:
        self.head = family.kind, family.name, family.help, [*family.labels, *more]
        self.rows: dict[tuple[str, ...], Any] = {}

    def add(self, rows: list[tuple[list[str], Any]], more: list[str]) -> None:
        for values, number in rows:
            key = (*values, *more)
            if key not in self.rows:
                self.rows[key] = number
            elif self.head[0] == "histogram":
                self.rows[key] = [one + other for one, other in zip(self.rows[key], number)]
            else:
                self.rows[key] = max(self.rows[key], number) if self.head[0] == "peak" else self.rows[key] + number

    def copy(self) -> Sum:
        made = Sum(self.family())
        made.rows = self.rows.copy()
        return made

    def family(self) -> Family:
        return Family(*self.head, [(list(key), number) for key, number in self.rows.items()])
