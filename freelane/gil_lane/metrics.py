"""Counters of the gil lane: in the log at shutdown, and as a Prometheus page (``--metrics-port``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from freelane.errors import ConfigError
from freelane.gil_lane.supervisor import Slot, Supervisor

logger = logging.getLogger("freelane.error")


@dataclass(frozen=True, slots=True)
class Counters:
    """Of one lane since the server began: times in seconds, memory in bytes."""

    lane: str
    requests: int
    in_flight: int
    restarts: int
    waiting: float
    working: float
    resident: int


def count(slot: Slot) -> Counters:
    """A lane's counters as of now; callable from any thread."""
    with slot.lock:
        processes = list(slot.processes)
        requests, waited, worked = slot.requests, slot.waited, slot.worked
    for process in processes:
        for load in process.loads:
            requests += load.requests
            waited += load.waited
            worked += load.worked
    in_flight = sum(process.busy for process in processes)
    resident = sum(process.read_rss() for process in processes)
    return Counters(slot.name, requests, in_flight, slot.restarts, waited, worked, resident)


def log(supervisor: Supervisor) -> None:
    """One line for each lane."""
    for slot in supervisor.slots:
        it = count(slot)
        logger.info("%s: %d requests, %d restarts, %.3f s waiting, %.3f s working, at most %d MiB.", it.lane, it.requests,
                    it.restarts, it.waiting, it.working, slot.most_rss >> 20)  # fmt: skip
    refused = sum(client.refused for client in supervisor.clients)
    if refused:
        logger.info("The gil lane refused %d requests (503).", refused)


class Collector:
    """What prometheus_client asks; ``supervisor`` is None for a server without the lane."""

    def __init__(self, supervisor: Supervisor | None) -> None:
        self.supervisor = supervisor

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        if self.supervisor is None:
            return
        counters = [count(slot) for slot in self.supervisor.slots]
        families: list[tuple[Any, str, str, Callable[[Counters], float]]] = [
            (CounterMetricFamily, "requests", "Requests handed to the lane.", lambda it: it.requests),
            (GaugeMetricFamily, "in_flight", "Requests whose answer has not begun.", lambda it: it.in_flight),
            (CounterMetricFamily, "restarts", "Processes that were replaced.", lambda it: it.restarts),
            (CounterMetricFamily, "waiting_seconds", "Time that requests waited for a process.", lambda it: it.waiting),
            (CounterMetricFamily, "working_seconds", "Time until their answer began.", lambda it: it.working),
            (GaugeMetricFamily, "resident_bytes", "Resident memory.", lambda it: it.resident),
        ]
        for kind, name, help, value in families:
            family = kind(f"freelane_gil_{name}", help, labels=["lane"])
            for it in counters:
                family.add_metric([it.lane], value(it))
            yield family
        clients = self.supervisor.clients
        queue = sum(len(client.queue) for client in clients)
        yield GaugeMetricFamily("freelane_gil_queue_depth", "Requests that wait for a process.", queue)
        refused = sum(client.refused for client in clients)
        yield CounterMetricFamily("freelane_gil_refused", "Requests that were answered 503.", refused)


class Page:
    """The Prometheus page, on a thread of its own. Raises ConfigError if it cannot be had."""

    def __init__(self, host: str, port: int, supervisor: Supervisor | None, *collectors: Any) -> None:
        try:
            import prometheus_client
        except ImportError:
            raise ConfigError("--metrics-port needs prometheus_client: pip install 'freelane[metrics]'") from None
        registry = prometheus_client.CollectorRegistry()
        for collector in (Collector(supervisor), *collectors):
            registry.register(collector)
        prometheus_client.ProcessCollector(registry=registry)
        try:
            self.server, self.thread = prometheus_client.start_http_server(port, host, registry)
        except OSError as exc:
            raise ConfigError(f"--metrics-port {port} cannot be used: {exc.strerror}") from None
        self.address = f"http://{host}:{self.server.server_port}/metrics"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
