"""What a process counts of its requests and of itself (``--metrics-port``)."""

from __future__ import annotations

import asyncio
import bisect
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from freelane.adapters import registry
from freelane.fastcore.asgi.gateway import Gateway
from freelane.fastcore.asgi.websocket import WebSocketExchange
from freelane.gil_lane import gil_watch
from freelane.server.ledger import BUCKETS, Family
from freelane.server.memory import resident_bytes

if TYPE_CHECKING:
    from freelane.server.worker import Worker

# How often the loop's lag is measured (seconds).
INTERVAL = 0.5
# Requests that came and whose response has not begun are told apart by their scope's identity: this many at most.
MOST_ARRIVALS = 100_000

# Method, route, lane, status.
Labels = tuple[str, str, str, str]


class Recorder:
    """Counts responses as they begin. Each thread has a table of its own; ``totals`` adds them up, from any thread."""

    def __init__(self, app: Any) -> None:
        self.local = threading.local()
        # Guards `tables`; a table is changed by its own thread and copied in one step.
        self.lock = threading.Lock()
        self.tables: list[dict[Labels, tuple[int, float, tuple[int, ...]]]] = []
        # When each request came that has no exchange yet, by the identity of its scope; set and taken in one step each.
        self.arrivals: dict[int, float] = {}
        self.patterns = patterns_of(app)

    def arrive(self, source: Any) -> None:
        """A request came; on Granian's thread."""
        if len(self.arrivals) > MOST_ARRIVALS:
            self.arrivals.clear()  # of requests that were refused before they had one
        self.arrivals[id(source)] = time.monotonic()

    def observe(self, scope: Any, status: int, headers: list[Any]) -> None:
        if scope["type"] != "http":
            return
        began = scope.get("freelane.began")
        spent = 0.0 if began is None else time.monotonic() - began
        lane = (scope.get("freelane.lane") or ("loop",))[0]
        labels = (scope["method"], self.pattern(scope), lane, str(status))
        try:
            table = self.local.table
        except AttributeError:
            table = self.local.table = {}
            with self.lock:
                self.tables.append(table)
        count, total, buckets = table.get(labels, (0, 0.0, (0,) * (len(BUCKETS) + 1)))
        at = bisect.bisect_left(BUCKETS, spent)
        table[labels] = count + 1, total + spent, (*buckets[:at], buckets[at] + 1, *buckets[at + 1 :])

    def pattern(self, scope: Any) -> str:
        """The route's pattern; empty where none was found, so that no path of a client's becomes a label."""
        endpoint = scope.get("endpoint")
        if endpoint is not None and (found := self.patterns.get(id(endpoint))) is not None:
            return found
        return getattr(scope.get("route"), "path", "")

    def totals(self) -> dict[Labels, tuple[int, float, tuple[int, ...]]]:
        with self.lock:
            tables = [table.copy() for table in self.tables]
        found: dict[Labels, tuple[int, float, tuple[int, ...]]] = {}
        for table in tables:
            for labels, (count, total, buckets) in table.items():
                if labels in found:
                    before, spent, filled = found[labels]
                    count, total = before + count, spent + total
                    buckets = tuple(one + other for one, other in zip(filled, buckets))
                found[labels] = count, total, buckets
        return found


def patterns_of(app: Any) -> dict[int, str]:
    """The pattern of each endpoint that has one route alone."""
    found: dict[int, set[str]] = {}
    for entry in registry.route_table(app).entries:
        if entry.endpoint is not None and entry.kind == "http":
            found.setdefault(id(entry.endpoint), set()).add(entry.path)
    return {key: paths.pop() for key, paths in found.items() if len(paths) == 1}


class MeasuredGateway(Gateway):
    """Leaves in each scope when its request came."""

    recorder: Recorder

    def open(self, source: Any, proto: Any) -> Any:
        began = self.recorder.arrivals.pop(id(source), None)
        exchange = super().open(source, proto)
        exchange.scope["freelane.began"] = time.monotonic() if began is None else began
        return exchange


class Lag:
    """How late the loop is to what is due, in seconds; written by its thread."""

    last = 0.0

    async def watch(self) -> None:
        while True:
            due = time.monotonic() + INTERVAL
            await asyncio.sleep(INTERVAL)
            self.last = max(0.0, time.monotonic() - due)


def count(workers: list[Worker]) -> Iterator[Family]:
    """What the workers of one process have to tell; from any thread."""
    labels = ["method", "route", "lane", "status"]
    requests: list[tuple[list[str], Any]] = []
    durations: list[tuple[list[str], Any]] = []
    for recorder in {id(worker.recorder): worker.recorder for worker in workers if worker.recorder is not None}.values():
        for values, (number, total, buckets) in recorder.totals().items():
            requests.append((list(values), number))
            durations.append((list(values), [total, *buckets]))
    yield Family("counter", "freelane_requests", "Responses that have begun.", labels, requests)
    yield Family("histogram", "freelane_request_duration_seconds", "Until the response began.", labels, durations)
    late = sum(worker.overdue.count for worker in workers if worker.overdue is not None)
    yield single("counter", "request_timeouts", "Requests that --request-timeout ended.", late)
    executors = [worker.runtime.executor for worker in workers if worker.runtime.executor is not None]
    gauges = {
        "in_flight": ("Requests and WebSockets in progress.", sum(worker.runtime.running() for worker in workers)),
        "websockets": ("WebSockets open.", sum(open_websockets(worker) for worker in workers)),
        "free_queue": ("`def` calls that wait for a thread.", sum(executor.queued for executor in executors)),
        "free_busy": ("`def` calls that run.", sum(executor.busy_slots for executor in executors)),
        "free_slots": ("`def` calls that may run at once now.", sum(executor.allowed for executor in executors)),
        "free_slots_limit": ("`def` calls that may ever run at once.", sum(executor.limit for executor in executors)),
        "threads": ("Python threads.", threading.active_count()),
        "resident_bytes": ("Resident memory.", resident_bytes()),
    }
    for name, (help, value) in gauges.items():
        yield single("gauge", name, help, value)
    yield single("counter", "cpu_seconds", "Processor time.", time.process_time())
    lag = max([worker.lag.last for worker in workers if worker.lag is not None] or [0.0])
    yield single("peak", "loop_lag_seconds", "How late the loop was when last looked at.", lag)
    by = next((worker.watch.module for worker in workers if worker.watch.module), "")
    rows: list[tuple[list[str], Any]] = [([by], int(gil_watch.enabled()))]
    yield Family("peak", "freelane_gil_enabled", "Whether the GIL is on, and what turned it on.", ["by"], rows)


def single(kind: str, name: str, help: str, value: float) -> Family:
    return Family(kind, f"freelane_{name}", help, [], [([], value)])


def open_websockets(worker: Worker) -> int:
    gateway = worker.runtime.gateway
    return 0 if gateway is None else sum(isinstance(exchange, WebSocketExchange) for exchange in gateway.active.copy())
