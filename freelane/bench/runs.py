"""The timing: in each round every contender is started, warmed up and loaded, one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from freelane.bench import load, machine, processes
from freelane.bench.contenders import Contender, ContenderFailed
from freelane.bench.load import Generator, Load, Sample
from freelane.bench.machine import Placement
from freelane.bench.processes import Running
from freelane.bench.progress import Progress
from freelane.bench.requests import Request
from freelane.bench.results import Row
from freelane.bench.session import Plan
from freelane.bench.statistics import steady

WARM_UP_INTERVAL = 1.0
MEMORY_INTERVAL = 1.0


@dataclass(frozen=True)
class Timing:
    """How it is timed. Times in seconds, ``rate`` in requests per second for all connections together."""

    rounds: int = 5
    duration: float = 5.0
    connections: int = 64
    rate: float | None = None
    warm_up: float = 5.0  # at most, each time; it ends when the rate is steady
    http2: bool = False


@dataclass(frozen=True)
class Scenario:
    """Requests that are loaded together; numbers count in the plan's requests."""

    name: str
    numbers: tuple[int, ...]


class Timer:
    """One timing of all contenders in all scenarios. ``rows`` and ``memory`` are what it found."""

    def __init__(
        self, contenders: Sequence[Contender], plan: Plan, scenarios: Sequence[Scenario], timing: Timing,
        generator: Generator, placement: Placement, progress: Progress, *, port: int | None, timeout: float,
    ) -> None:  # fmt: skip
        self.contenders = contenders
        self.plan = plan
        self.scenarios = scenarios
        self.timing = timing
        self.generator = generator
        self.placement = placement
        self.progress = progress
        self.port = port
        self.timeout = timeout
        self.turns: dict[str, float] = {}  # seconds that each has been up
        self.done = 0
        self.rows = {(scenario.name, item.name): Row(scenario.name, item.name) for scenario in scenarios for item in contenders}
        self.memory: dict[str, list[tuple[float, float]]] = {item.name: [] for item in contenders}

    def run(self) -> list[Row]:
        out: set[str] = set()
        for number in range(self.timing.rounds):
            # Each round begins with another one, so that none always comes first.
            turn = number % len(self.contenders)
            for contender in [*self.contenders[turn:], *self.contenders[:turn]]:
                if contender.name in out:
                    continue
                try:
                    self.one(contender, number + 1)
                except ContenderFailed as exc:
                    out.add(contender.name)
                    self.fail(contender, f"{str(exc).splitlines()[0]} (round {number + 1})")
                    self.progress.note(str(exc))
        return list(self.rows.values())

    def fail(self, contender: Contender, problem: str) -> None:
        for scenario in self.scenarios:
            self.rows[scenario.name, contender.name].problem = problem.removeprefix(f"{contender.name}: ")

    def one(self, contender: Contender, number: int) -> None:
        """One contender's part of a round, in a process of its own."""
        self.progress.stage(f"round {number}/{self.timing.rounds}: {contender.name}")
        with (
            processes.serve(contender, cores=self.placement.server, port=self.port, timeout=self.timeout) as running,
            self.watching(running),
        ):
            requests = self.plan.prepare(running)
            for scenario in self.scenarios:
                self.interval(running, scenario, [requests[i] for i in scenario.numbers], number)

    def interval(self, running: Running, scenario: Scenario, requests: Sequence[Request], number: int) -> None:
        row = self.rows[scenario.name, running.contender.name]
        asked = self.load(running, requests)
        self.warm_up(running, asked)
        before, began, ours = self.used(running), time.monotonic(), time.process_time()
        sample = load.measure(self.generator, asked, self.placement.load)
        running.check(suspicious=bool(sample.errors))
        after, took = self.used(running), time.monotonic() - began
        row.samples.append(sample)
        if before and after:
            own, every = after[0] - before[0], after[1] - before[1]
            if sample.requests and running.process is not None:
                row.cpu.append(own / sample.requests * 10_000)
            mine = sample.generator_cpu * asked.threads * took + time.process_time() - ours
            # Of a server that runs elsewhere it is not known what is its own.
            if running.process is not None:
                row.foreign.append(max(0.0, (every - own - mine) / took))
        if running.process is not None and (rss := machine.tree_rss_mib(running.process.pid)) is not None:
            row.rss.append(rss)
        self.done += 1
        self.progress.step(self.done, self.timing.rounds * len(self.rows))
        self.progress.note(self.said(row, sample, number))

    def said(self, row: Row, sample: Sample, number: int) -> str:
        what = f"  {row.scenario}, round {number}: {row.contender}  {sample.rate:,.0f}/s"
        if 99.0 in sample.latency:
            what += f"  p99 {sample.latency[99.0]:.2f} ms"
        return what + (f"  {sample.errors}" if sample.errors else "")

    def load(self, running: Running, requests: Sequence[Request]) -> Load:
        timing, cores = self.timing, self.placement.load
        prefix = urlsplit(running.url).path
        root = running.url.removesuffix(prefix) if prefix else running.url
        asked = tuple(replace(request, path=prefix + request.path) for request in load.mix(requests))
        threads = 1 if cores is None else max(1, min(len(cores), timing.connections))
        if self.generator.NAME == "builtin":
            threads = 1
        return Load(root, asked, timing.duration, timing.connections, timing.rate, threads, timing.http2)

    def warm_up(self, running: Running, asked: Load) -> None:
        """Until two intervals in turn have the same rate, but not for ever."""
        rates: list[float] = []
        for _ in range(max(1, round(self.timing.warm_up / WARM_UP_INTERVAL))):
            sample = load.measure(self.generator, replace(asked, seconds=WARM_UP_INTERVAL), self.placement.load)
            running.check(suspicious=bool(sample.errors))
            rates.append(sample.rate)
            if steady(rates):
                return

    def used(self, running: Running) -> tuple[float, float] | None:
        """CPU seconds of the contender and of everything on the cores we may use."""
        own = machine.tree_cpu(running.process.pid) if running.process is not None else 0.0
        every = machine.busy(machine.available_cores())
        return None if own is None or every is None else (own, every)

    @contextmanager
    def watching(self, running: Running) -> Iterator[None]:
        """Its memory over time, by a thread that ends with the block."""
        process = running.process
        if process is None or not machine.HAS_PROC:
            yield
            return
        ended, began = threading.Event(), time.monotonic()
        before = self.turns.get(running.contender.name, 0.0)
        series = self.memory[running.contender.name]

        def watch() -> None:
            while not ended.wait(MEMORY_INTERVAL):
                rss = machine.tree_rss_mib(process.pid)
                if rss:
                    series.append((round(before + time.monotonic() - began, 1), rss))

        thread = threading.Thread(target=watch, name="freelane-bench-memory", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.turns[running.contender.name] = before + time.monotonic() - began
