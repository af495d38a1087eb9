"""The counters for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from freelane.migration.front import Migration
from freelane.migration.labels import UNKNOWN

QUANTILES = (0.5, 0.99)


class Collector:
    """What prometheus_client asks, from the page's thread."""

    def __init__(self, front: Migration) -> None:
        self.front = front

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        name, labels = "freelane_migration_", ["side", "method", "route", "outcome"]
        answers = CounterMetricFamily(f"{name}answers", "Requests by who answered.", labels=labels)
        copies = CounterMetricFamily(f"{name}copies", "Copies by what became of them.", labels=labels)
        times = GaugeMetricFamily(
            f"{name}duration_seconds", "Until the answer had ended, of a route's last answers.",
            labels=["side", "method", "route", "quantile"],
        )  # fmt: skip
        copier = self.front.copier
        for label, counts in self.front.counters.snapshot().items():
            place = split(label)
            for (side, outcome), count in counts.answered.items():
                answers.add_metric([side, *place, outcome], count)
            for outcome, count in counts.copies.items():
                copies.add_metric([copier.side.name if copier is not None else "", *place, outcome], count)
            for side in counts.times:
                for part in QUANTILES:
                    value = counts.percentile(side, part)
                    times.add_metric([side, *place, str(part)], 0.0 if value is None else value)
        on = GaugeMetricFamily(f"{name}side_on", "0 while a side is switched off for its errors.", labels=["side"])
        for side in (self.front.main, *self.front.others):
            on.add_metric([side.name], float(not side.budget.off))
        shares = GaugeMetricFamily(f"{name}share", "Of the requests of a rule, what its side answers.", labels=["rule", "side"])
        for rule in self.front.plan.rules:
            shares.add_metric([rule.pattern.text, rule.side.name], rule.share)
        yield from (answers, copies, times, on, shares)


def split(label: str) -> tuple[str, str]:
    """Method and route of a counter's label, as ``freelane_requests_total`` has them: no route is an empty one."""
    method, _, route = label.partition(" ")
    return ("", "") if label == UNKNOWN else (method, route)
