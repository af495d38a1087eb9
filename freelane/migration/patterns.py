"""Paths and shares as they are written on a command line and in a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from freelane.errors import ConfigError

METHODS = re.compile(r"[A-Z]+(?:,[A-Z]+)*\Z")
PART = re.compile(r"\*|\{[^{}/]*\}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Requests by method and path: ``GET,POST /v1/*``; ``*`` is any run of characters, ``{name}`` one segment.

    ``methods`` is None for any; a WebSocket's is GET.
    """

    text: str
    methods: frozenset[str] | None
    path: re.Pattern[str]

    def fits(self, method: str, path: str) -> bool:
        return (self.methods is None or method in self.methods) and self.path.match(path) is not None


@cache
def pattern(text: str) -> Pattern:
    """Raises ConfigError for what is no pattern."""
    *before, path = text.split() or [""]
    if path[:1] not in ("/", "*") or len(before) > 1 or not all(map(METHODS.match, before)):
        raise ConfigError(f"'{text}' is no path: write '/v1/*', '/items/{{id}}' or 'GET,POST /v1/*'")
    at, made = 0, ""
    for part in PART.finditer(path):
        made += re.escape(path[at : part.start()]) + (".*" if part[0] == "*" else "[^/]+")
        at = part.end()
    methods = frozenset(before[0].split(",")) if before else None
    return Pattern(text, methods, re.compile(made + re.escape(path[at:]) + r"\Z", re.DOTALL))


def share(text: str) -> float:
    """``5%`` as 0.05. Raises ConfigError."""
    try:
        value = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        value = -1.0
    if not text.strip().endswith("%") or not 0 <= value <= 1:
        raise ConfigError(f"'{text}' is no share: write 0% to 100%")
    return value


def percent(value: float) -> str:
    """0.05 as ``5%``."""
    return f"{value * 100:.10g}%"
