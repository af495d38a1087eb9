"""Counters of the gil lane: in the log at shutdown, and for the metrics page (``--metrics-port``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from freelane.gil_lane.supervisor import Slot, Supervisor
from freelane.server.ledger import Family

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


def families(supervisor: Supervisor) -> Iterator[Family]:
    """What the lane has counted; from any thread."""
    counters = [count(slot) for slot in supervisor.slots]
    known: list[tuple[str, str, str, Callable[[Counters], float]]] = [
        ("counter", "requests", "Requests handed to the lane.", lambda it: it.requests),
        ("gauge", "in_flight", "Requests whose answer has not begun.", lambda it: it.in_flight),
        ("counter", "restarts", "Processes that were replaced.", lambda it: it.restarts),
        ("counter", "waiting_seconds", "Time that requests waited for a process.", lambda it: it.waiting),
        ("counter", "working_seconds", "Time until their answer began.", lambda it: it.working),
        ("gauge", "resident_bytes", "Resident memory.", lambda it: it.resident),
    ]
    for kind, name, help, value in known:
        yield Family(kind, f"freelane_gil_{name}", help, ["lane"], [([it.lane], value(it)) for it in counters])
    queue = sum(len(client.queue) for client in supervisor.clients)
    yield Family("gauge", "freelane_gil_queue_depth", "Requests that wait for a process.", [], [([], queue)])
    refused = sum(client.refused for client in supervisor.clients)
    yield Family("counter", "freelane_gil_refused", "Requests that were answered 503.", [], [([], refused)])
