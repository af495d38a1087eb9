"""Who answers a request: rules in their order, of which the first that fits decides. Immutable, swapped as one reference."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from freelane.errors import ConfigError
from freelane.migration.patterns import Pattern, pattern


@dataclass(frozen=True, slots=True)
class Rule:
    """Of the requests that fit, ``share`` (0 to 1) are answered by ``side``, the others by the default."""

    pattern: Pattern
    side: Any
    share: float


@dataclass(frozen=True, slots=True)
class Moves:
    """What a file says while the server runs: the share of all requests, of paths, and whether copies are made."""

    share: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    shadow: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """``default`` answers what no rule takes. ``shadow`` says whether copies are made. ``plain``: no rule takes anything."""

    rules: tuple[Rule, ...]
    default: Any
    shadow: bool = True
    plain: bool = False

    def rule(self, method: str, path: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.pattern.fits(method, path)), None)


@dataclass(frozen=True, slots=True)
class Start:
    """What the command line and the configuration say. ``candidate`` is who a share is given to; None where nobody is."""

    rules: tuple[Rule, ...]
    default: Any
    candidate: Any = None
    share: float = 0.0

    def moved(self, moves: Moves) -> Plan:
        """Raises ConfigError for a share of what nobody else can answer."""
        known = {rule.pattern.text for rule in self.rules}
        more = sorted((text for text in moves.shares if text not in known), key=lambda text: (-len(text), text))
        if self.candidate is None and (more or moves.share is not None):
            what = more[0] if more else "all requests"
            raise ConfigError(f"there is no side to give a share of {what} to: name it with --canary")
        rules = [Rule(pattern(text), self.candidate, moves.shares[text]) for text in more]
        rules += [Rule(rule.pattern, rule.side, moves.shares.get(rule.pattern.text, rule.share)) for rule in self.rules]
        if self.candidate is not None:
            rules.append(Rule(pattern("*"), self.candidate, self.share if moves.share is None else moves.share))
        return Plan(tuple(rules), self.default, moves.shadow, not any(rule.share for rule in rules))


class Sticky:
    """Where in the whole of them a client stands: the same place as long as its address, header or cookie is the same.

    Who gets to a side at some share stays there as the share grows.
    """

    def __init__(self, by: str) -> None:
        kind, _, name = by.partition(":")
        if kind not in ("client", "header", "cookie") or (kind == "client") == bool(name.strip()):
            raise ConfigError(f"--canary-by must be client, header:NAME or cookie:NAME, not '{by}'")
        self.kind = kind
        self.name = name.strip().lower().encode() if kind == "header" else name.strip().encode()

    def place(self, scope: Any) -> float:
        """From 0 to 1."""
        key = self.key(scope)
        if not key:
            return random.random()  # nothing tells this client from others
        return int.from_bytes(hashlib.blake2b(key, digest_size=7).digest()) / (1 << 56)

    def key(self, scope: Any) -> bytes:
        if self.kind == "header":
            for name, value in scope["headers"]:
                if name == self.name:
                    return bytes(value)
        elif self.kind == "cookie":
            for name, value in scope["headers"]:
                if name == b"cookie":
                    for pair in value.split(b";"):
                        found, _, text = pair.strip().partition(b"=")
                        if found == self.name:
                            return bytes(text)
        client = scope.get("client")
        return client[0].encode() if client else b""
