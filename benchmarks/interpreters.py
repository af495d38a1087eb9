"""How fast the servers' interpreters are by themselves: one loop of pure Python, in turns."""

from __future__ import annotations

import subprocess
from statistics import median

from .report import Ratio
from .servers import Server, ServerFailed

# What `compute` endpoints do; the best of many calls is the least disturbed one.
LOOP = """
import time
def compute():
    total = 0
    for number in range(2000):
        total += number * number % 7
    return total
best = float("inf")
for _ in range(500):
    began = time.perf_counter()
    compute()
    best = min(best, time.perf_counter() - began)
print(1 / best)
"""


def compare(ours: Server, theirs: Server, rounds: int) -> Ratio:
    """Calls per second of the first server's interpreter over the second's. Raises ServerFailed."""
    each = [rate(ours) / rate(theirs) for _ in range(rounds)]
    what = f"the interpreters alone, {ours.name} / {theirs.name}"
    return Ratio("compute", what, round(median(each), 2), round(min(each), 2), round(max(each), 2))


def rate(server: Server) -> float:
    try:
        ran = subprocess.run([server.python, "-c", LOOP], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerFailed(f"{server.name}: its interpreter did not run: {error}") from error
    return float(ran.stdout)
