"""What a run found, in one object: rows, agreement, circumstances; as JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from freelane.bench.differences import Agreement, Difference
from freelane.bench.load import GENERATOR_LIMIT, PERCENTILES, Sample
from freelane.bench.machine import Machine
from freelane.bench.statistics import Ratio, noise, ratio

VERSION = 1


@dataclass
class Row:
    """One contender in one scenario: a sample for each round, and what it used meanwhile."""

    scenario: str
    contender: str
    samples: list[Sample] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # CPU seconds per 10,000 requests
    rss: list[float] = field(default_factory=list)  # MiB after the interval
    foreign: list[float] = field(default_factory=list)  # cores that other programs used
    problem: str | None = None

    @property
    def rates(self) -> list[float]:
        return [sample.rate for sample in self.samples]

    @property
    def rate(self) -> float | None:
        """Requests per second, rounded here so that every output rounds the same number again."""
        return round(median(self.rates), 1) if self.samples else None

    def latency(self, percentile: float) -> float | None:
        """Milliseconds, the median over rounds, rounded likewise; None where the generator does not tell it."""
        found = [sample.latency[percentile] for sample in self.samples if percentile in sample.latency]
        return round(median(found), 3) if found else None

    @property
    def errors(self) -> dict[str, int]:
        total: dict[str, int] = {}
        for sample in self.samples:
            for kind, count in sample.errors.items():
                total[kind] = total.get(kind, 0) + count
        return total

    @property
    def invalid(self) -> str | None:
        """Why this row is no measurement; None where it is one. Errors are never reported as speed."""
        if self.problem:
            return self.problem
        if self.errors:
            return "errors under load: " + ", ".join(f"{count} {kind}" for kind, count in self.errors.items())
        if not self.samples or any(sample.requests == 0 for sample in self.samples):
            return "an interval without a single answer"
        return None

    @property
    def generator_was_the_limit(self) -> bool:
        return bool(self.samples) and median(sample.generator_cpu for sample in self.samples) >= GENERATOR_LIMIT


@dataclass(frozen=True)
class Side:
    """A contender as a report names it."""

    name: str
    command: str
    versions: dict[str, str]


@dataclass
class Result:
    """One whole run. ``rows`` is empty where nothing was timed."""

    started: str  # ISO 8601
    machine: Machine
    sides: list[Side]
    agreement: Agreement
    command: str = ""  # what to type for the same run
    requests: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # requests that were not asked, and why
    generator: str = ""
    placement: str = ""
    separate_cores: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # (seconds of its own turns, MiB)
    notes: list[str] = field(default_factory=list)
    profiles: list[dict[str, Any]] = field(default_factory=list)

    @property
    def differences(self) -> list[Difference]:
        return self.agreement.differences

    @property
    def equal(self) -> bool:
        """Whether every contender gave the first one's answers."""
        return not self.agreement.differences

    @property
    def scenarios(self) -> list[str]:
        return list(dict.fromkeys(row.scenario for row in self.rows))

    def first(self, scenario: str) -> Row:
        return next(row for row in self.rows if row.scenario == scenario)

    def ratio(self, row: Row) -> Ratio | None:
        """Its throughput over the first contender's; None where either is no measurement."""
        first = self.first(row.scenario)
        if row.invalid or first.invalid or row is first:
            return None
        return ratio(row.rates, first.rates)

    def noise(self, row: Row) -> str | None:
        """Why the ratio means nothing; None where it does, or where there is none."""
        found = self.ratio(row)
        return noise(found, row.foreign + self.first(row.scenario).foreign) if found else None

    @property
    def noisy(self) -> list[str]:
        """What is wrong with the machine, once each."""
        return list(dict.fromkeys(f"{row.scenario}, {row.contender}: {why}" for row in self.rows if (why := self.noise(row))))

    @property
    def code(self) -> int:
        """The exit code: 1 for an answer that differs or a row that is no measurement."""
        fine = self.equal and not self.agreement.unusable and not any(row.invalid for row in self.rows)
        return 0 if fine else 1

    def assert_equal(self) -> None:
        """Raise AssertionError with the diffs unless all answers are equal."""
        if not self.equal:
            raise AssertionError("\n\n".join(map(str, self.differences)))

    def as_dict(self) -> dict[str, Any]:
        """JSON: rates in requests per second, latencies in ms by percentile, memory in MiB."""
        return {
            "version": VERSION,
            "started": self.started,
            "command": self.command,
            "machine": self.machine.as_dict(),
            "contenders": [asdict(side) for side in self.sides],
            "requests": self.requests,
            "left_out": self.left_out,
            "generator": self.generator,
            "placement": self.placement,
            "separate_cores": self.separate_cores,
            "options": self.options,
            "equal": self.equal,
            "agreement": asdict(self.agreement),
            "rows": [self.row_dict(row) for row in self.rows],
            "memory": self.memory,
            "profiles": self.profiles,
            "notes": self.notes,
            "noisy": self.noisy,
        }

    def row_dict(self, row: Row) -> dict[str, Any]:
        found, noisy = self.ratio(row), self.noise(row)
        return {
            "scenario": row.scenario,
            "contender": row.contender,
            "rate": rounded(row.rate, 1),
            "rates": [round(rate, 1) for rate in row.rates],
            "latency_ms": {f"{p:g}": rounded(row.latency(p), 4) for p in PERCENTILES if row.latency(p) is not None},
            "rss_mib": rounded(middle(row.rss), 1),
            "cpu_s_per_10000": rounded(middle(row.cpu), 3),
            "errors": row.errors,
            "invalid": row.invalid,
            "foreign_cores": [round(value, 2) for value in row.foreign],
            "generator_was_the_limit": row.generator_was_the_limit,
            # None where it means nothing, with the reason beside it.
            "ratio": None if found is None or noisy else asdict(found),
            "noisy": noisy,
        }

    def as_csv(self) -> str:
        """A line for each row of the table."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["scenario", "contender", "requests_per_second", "p50_ms", "p99_ms", "p99.9_ms", "rss_mib",
                         "cpu_s_per_10000", "errors", "ratio", "ratio_low", "ratio_high", "invalid", "noisy"])  # fmt: skip
        for row in self.rows:
            it = self.row_dict(row)
            found = it["ratio"] or {"value": None, "low": None, "high": None}
            latency = [it["latency_ms"].get(p) for p in ("50", "99", "99.9")]
            numbers = [rounded(found[key], 4) for key in ("value", "low", "high")]
            writer.writerow([row.scenario, row.contender, it["rate"], *latency, it["rss_mib"], it["cpu_s_per_10000"],
                             sum(row.errors.values()), *numbers, row.invalid, it["noisy"]])  # fmt: skip
        return out.getvalue()


def middle(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
