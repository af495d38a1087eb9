"""What rounds say: a ratio with its confidence interval, and whether the machine was quiet enough for one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

CONFIDENCE = 0.99
# Student's t for 99 %, two-sided, by degrees of freedom (any table of it); 2.576 for very many.
T99 = (63.66, 9.92, 5.84, 4.60, 4.03, 3.71, 3.50, 3.36, 3.25, 3.17, 3.11, 3.05, 3.01, 2.98, 2.95, 2.92, 2.90, 2.88, 2.86,
       2.85, 2.83, 2.82, 2.81, 2.80, 2.79, 2.78, 2.77, 2.76, 2.76, 2.75)  # fmt: skip
# An interval this much wider than its ratio, to either side, says that the rounds disagree.
WIDEST = 0.15
# Cores' worth of CPU that other programs may use while an interval is measured.
FOREIGN_CORES = 0.20


@dataclass(frozen=True)
class Ratio:
    """How many times the first contender's throughput this one's is: geometric mean over rounds, with a 99 % interval."""

    value: float
    low: float | None  # None with one round: nothing says how sure it is
    high: float | None

    @property
    def spread(self) -> float:
        """How far the interval reaches from the ratio, as a share of it."""
        if self.low is None or self.high is None:
            return 0.0
        return max(self.high / self.value - 1, 1 - self.low / self.value)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.2f} (one round)"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def ratio(ours: Sequence[float], first: Sequence[float]) -> Ratio:
    """Round by round, so that a machine that drifts does not decide. All rates must be more than 0."""
    logs = [math.log(a / b) for a, b in zip(ours, first)]
    middle = fmean(logs)
    if len(logs) < 2:
        return Ratio(math.exp(middle), None, None)
    degrees = len(logs) - 1
    t = T99[degrees - 1] if degrees <= len(T99) else 2.576
    reach = t * stdev(logs) / math.sqrt(len(logs))
    return Ratio(math.exp(middle), math.exp(middle - reach), math.exp(middle + reach))


def noise(found: Ratio, foreign: Sequence[float]) -> str | None:
    """Why a ratio means nothing on this machine now; None where it does. ``foreign`` is in cores, by interval."""
    reasons = []
    if foreign and median(foreign) > FOREIGN_CORES:
        reasons.append(f"other programs used {median(foreign):.1f} cores")
    if found.spread > WIDEST:
        reasons.append(f"the rounds disagree (by a factor of {found.spread + 1:.3g} in the 99 % interval)")
    return " and ".join(reasons) or None


def steady(rates: Sequence[float], within: float = 0.05) -> bool:
    """Whether the last of some short intervals is like the one before."""
    return len(rates) > 1 and rates[-2] > 0 and abs(rates[-1] / rates[-2] - 1) <= within
