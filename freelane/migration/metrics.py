"""The counters for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from freelane.migration.front import Migration
from freelane.migration.labels import UNKNOWN
from freelane.server.ledger import Family

QUANTILES = (0.5, 0.99)


def families(front: Migration) -> Iterator[Family]:
    """What the sides of a front have answered; from any thread."""
    name, place = "freelane_migration_", ["side", "method", "route"]
    answers: list[tuple[list[str], Any]] = []
    copies: list[tuple[list[str], Any]] = []
    times: list[tuple[list[str], Any]] = []
    copier = front.copier
    for label, counts in front.counters.snapshot().items():
        where = split(label)
        for (side, outcome), count in counts.answered.items():
            answers.append(([side, *where, outcome], count))
        for outcome, count in counts.copies.items():
            copies.append(([copier.side.name if copier is not None else "", *where, outcome], count))
        for side in counts.times:
            for part in QUANTILES:
                value = counts.percentile(side, part)
                times.append(([side, *where, str(part)], 0.0 if value is None else value))
    yield Family("counter", f"{name}answers", "Requests by who answered.", [*place, "outcome"], answers)
    yield Family("counter", f"{name}copies", "Copies by what became of them.", [*place, "outcome"], copies)
    help = "Until the answer had ended, of a route's last answers."
    yield Family("peak", f"{name}duration_seconds", help, [*place, "quantile"], times)
    on: list[tuple[list[str], Any]] = [([side.name], float(not side.budget.off)) for side in front.sides]
    yield Family("peak", f"{name}side_on", "0 while a side is switched off for its errors.", ["side"], on)
    shares: list[tuple[list[str], Any]] = [([rule.pattern.text, rule.side.name], rule.share) for rule in front.plan.rules]
    yield Family("peak", f"{name}share", "Of the requests of a rule, what its side answers.", ["rule", "side"], shares)


def split(label: str) -> tuple[str, str]:
    """Method and route of a counter's label, as ``freelane_requests_total`` has them: no route is an empty one."""
    method, _, route = label.partition(" ")
    return ("", "") if label == UNKNOWN else (method, route)
