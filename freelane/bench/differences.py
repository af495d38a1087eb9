"""Whether contenders agree: every request's status, headers and body, compared before anything is timed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from freelane.bench.answer import Answer
from freelane.bench.nature import MISSING, NOT_JSON, parsed, places, text_of
from freelane.bench.requests import Request

# A diff longer than this says how much of it is left out.
MOST_LINES = 60


@dataclass(frozen=True)
class Difference:
    """One request that two contenders answer differently."""

    request: str
    contender: str
    reference: str
    places: tuple[str, ...]
    diff: str

    def __str__(self) -> str:
        return f"{self.request}: {self.contender} differs from {self.reference} in {', '.join(self.places)}\n{self.diff}"


@dataclass
class Agreement:
    """What the comparison found; nature and writing map a request's label to places and words."""

    asked: int = 0
    differences: list[Difference] = field(default_factory=list)
    nature: dict[str, list[str]] = field(default_factory=dict)
    writing: dict[str, list[str]] = field(default_factory=dict)  # the same JSON, other bytes
    failing: dict[str, str] = field(default_factory=dict)  # answered with an error by the first contender
    unusable: bool = False  # nothing but errors
    servers: dict[str, str] = field(default_factory=dict)  # each contender's Server header


@dataclass(frozen=True)
class Rules:
    """What is left out of the comparison: places such as ``header etag``, ``headers``, ``body $.took``; and how strict."""

    ignored: tuple[str, ...] = ()
    strict: bool = False  # the same JSON in other bytes is a difference

    def keep(self, places: Sequence[str]) -> list[str]:
        return [place for place in places if not any(self.covers(rule, place) for rule in self.ignored)]

    def covers(self, rule: str, place: str) -> bool:
        if rule == "headers":
            return place.startswith("header ")
        if rule.startswith("$"):
            rule = "body " + rule
        if ":" in rule and rule.partition(":")[0] == "header":
            rule = "header " + rule.partition(":")[2].strip()
        rule = rule.lower() if rule.startswith("header ") else rule
        return place == rule or place.startswith((rule + ".", rule + "[", rule + " ("))


def explain(
    request: Request, reference: str, first: Answer, contender: str, answer: Answer, wrong: Sequence[str]
) -> Difference:
    return Difference(request.label, contender, reference, tuple(wrong), diff(reference, first, contender, answer, wrong))


def diff(reference: str, first: Answer, contender: str, answer: Answer, wrong: Sequence[str]) -> str:
    """A unified diff of the parts of two answers in which a place differs."""
    left, right = lines(first, wrong), lines(answer, wrong)
    made = list(difflib.unified_diff(left, right, reference, contender, n=2, lineterm=""))
    if len(made) > MOST_LINES:
        made = [*made[:MOST_LINES], f"... {len(made) - MOST_LINES} more lines"]
    return "\n".join(made)


def lines(answer: Answer, wrong: Sequence[str]) -> list[str]:
    """An answer as lines to compare: status and headers always, the body where it differs."""
    if answer.problem is not None:
        return [f"({answer.problem})"]
    found = places(answer)
    made = [f"status: {answer.status}"]
    named = sorted({place for place in wrong if place.startswith("header ")})
    made += [f"{place.removeprefix('header ')}: {found.get(place, MISSING)}" for place in named]
    if answer.messages is not None:
        return made + list(answer.messages)
    if any(place.startswith("body") for place in wrong):
        value = parsed(answer.body)
        if value is NOT_JSON or "body" in wrong:
            made += text_of(answer.body).splitlines()
        else:
            made += json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True).splitlines()
    return made
