"""What `python -m benchmarks.compiled` compares, source against compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Point:
    x: float
    y: float

    def scaled(self, by: float) -> Point:
        return Point(self.x * by, self.y * by)


def floats(n: int = 100_000) -> float:
    total = 0.0
    for i in range(n):
        total += (i * 0.5) / (i + 1.0)
    return total


def integers(n: int = 100_000) -> int:
    total = 0
    for i in range(n):
        total += i * i % 7
    return total


def modulo(n: int = 50_000) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, (a + b) % 1_000_000_007
    return a


def text(n: int = 20_000) -> str:
    parts = []
    for i in range(n):
        parts.append(f"item {i}")
    return ", ".join(parts)


def dataclasses(n: int = 10_000) -> float:
    total = 0.0
    for point in [Point(float(i), i + 1.0) for i in range(n)]:
        total += point.scaled(2.0).y
    return total


def hello() -> dict[str, Any]:
    return {"message": "hello"}
