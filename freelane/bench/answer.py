"""What a contender answered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """A status, headers in their order with names in lower case, and a body; or what went wrong instead."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    problem: str | None = None
    messages: tuple[str, ...] | None = None  # of a WebSocket conversation, its close included

    def values(self, name: str) -> list[str]:
        return [value for have, value in self.headers if have == name]

    @property
    def failed(self) -> bool:
        return self.problem is not None or self.status >= 400
