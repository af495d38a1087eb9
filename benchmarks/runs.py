"""The measurement itself: per lane, every server up at once, loaded in turns (A, B, A, B, ...)."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from . import load, machine
from .load import Request, Sample
from .servers import HOST, Running, Server, ServerFailed, serve

WARM_UP_SECONDS = 1.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Lane:
    name: str
    what: str
    request: Request
    scales: bool = False  # measured on one core and again on all of them
    connections: int = 64
    target: str = ""  # the app of this lane, where it is not the suite's


LANES = (
    Lane("hello", "async def, JSON", Request()),
    Lane("def", "def, JSON", Request(path="/def")),
    Lane("compute", "def, pure Python, one core and all cores", Request(path="/compute"), scales=True),
    Lane("body", "async def, JSON body in and out", Request("POST", "/echo", '{"name": "lane", "n": [1, 2, 3]}')),
    Lane("stream", "async generator, 10 chunks", Request(path="/stream")),
)


@dataclass
class Row:
    """One server in one lane at one placement; throughput in requests per second, memory in MiB."""

    lane: str
    server: str
    cores: str
    placement: str
    samples: list[Sample] = field(default_factory=list)
    rss_mib: float | None = None
    gil: bool | None = None  # as the serving process says after loading the app; None: the app does not say
    problem: str | None = None

    @property
    def invalid(self) -> str | None:
        """Why this row does not count, or None."""
        if self.problem:
            return self.problem
        totals: dict[str, int] = {}
        for sample in self.samples:
            for kind, count in sample.errors.items():
                totals[kind] = totals.get(kind, 0) + count
        if totals:
            return "errors: " + ", ".join(f"{count} {kind}" for kind, count in totals.items())
        if not self.samples or any(sample.requests == 0 for sample in self.samples):
            return "an interval without a single answer"
        return None

    def rates(self) -> list[float]:
        return [sample.requests_per_second for sample in self.samples]

    def middle(self, name: str) -> float:
        return median(getattr(sample, name) for sample in self.samples)


@dataclass(frozen=True)
class _Variant:
    running: Running
    row: Row
    placement: machine.Placement


def run_lane(lane: Lane, servers: Sequence[Server], target: str, *, rounds: int, seconds: float, say: Say) -> list[Row]:
    cores = machine.available_cores()
    placements = {"one core": machine.one_core(cores)}
    if lane.scales:
        placements["all cores"] = machine.all_cores(cores)
    with contextlib.ExitStack() as stack:
        variants = []
        for label, placement in placements.items():
            for server in servers:
                running = stack.enter_context(serve(server, lane.target or target, cores=placement.server))
                row = Row(lane.name, server.name, label, placement.note)
                variants.append(_Variant(running, row, placement))
        _compare_answers(lane, variants)
        loaded = [variant for variant in variants if variant.row.problem is None]
        for variant in loaded:
            _interval(lane, variant, WARM_UP_SECONDS)
        for number in range(1, rounds + 1):
            for variant in loaded:
                sample = _interval(lane, variant, seconds)
                variant.row.samples.append(sample)
                say(_progress(lane, variant.row, number, rounds, sample))
        for variant in variants:
            variant.row.rss_mib = machine.tree_rss_mib(variant.running.process.pid)
    return [variant.row for variant in variants]


def _progress(lane: Lane, row: Row, number: int, rounds: int, sample: Sample) -> str:
    errors = f"  {sample.errors}" if sample.errors else ""
    return (
        f"  {lane.name} {number}/{rounds}  {row.server} ({row.cores})  "
        f"{sample.requests_per_second:,.0f}/s  p99 {sample.p99_ms:.2f} ms{errors}"
    )


def _interval(lane: Lane, variant: _Variant, seconds: float) -> Sample:
    running = variant.running
    sample = load.measure(
        running.url, lane.request, seconds=seconds, connections=lane.connections, cores=variant.placement.load
    )
    code = running.process.poll()
    if code is not None:
        raise ServerFailed(f"{running.server.name}: ended with {code} under load:\n{running.output()}")
    return sample


def _compare_answers(lane: Lane, variants: Sequence[_Variant]) -> None:
    """A server that answers wrongly is not raced: each must answer 2xx, and all the same bytes or JSON."""
    first: bytes | None = None
    for variant in variants:
        status, body = ask(variant.running, lane.request)
        variant.row.gil = _gil(variant.running)
        if not 200 <= status < 300:
            variant.row.problem = f"answers {status} to {lane.request.method} {lane.request.path}"
        elif first is None:
            first = body
        elif body != first and not same_json(body, first):
            variant.row.problem = "answers other bytes than the first server"


def same_json(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def ask(running: Running, request: Request) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, running.port, timeout=10)
    try:
        connection.request(request.method, request.path, request.body or None, request.all_headers())
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerFailed(f"{running.server.name}: {error!r}\n{running.output()}") from error
    finally:
        connection.close()


def _gil(running: Running) -> bool | None:
    status, body = ask(running, Request(path="/runtime"))
    try:
        return bool(json.loads(body)["gil"]) if status == 200 else None
    except (ValueError, KeyError, TypeError):
        return None
