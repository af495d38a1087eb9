"""State shared by all threads and loops of the process, or, with a URL, by many machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from freelane.adapters.pyre.state_memory import Backend, Memory


def backend(url: str | None) -> Backend:
    if url is None:
        return Memory()
    scheme = url.partition("://")[0]
    if scheme in ("redis", "rediss", "unix", "valkey", "valkeys"):
        from freelane.adapters.pyre.state_redis import Redis

        return Redis(url)
    if scheme == "freelane":
        from freelane.adapters.pyre.state_server import Remote

        return Remote(url)
    raise ValueError(f"SharedState knows no '{scheme}': use redis://, rediss://, unix:// or valkey://")


class SharedState:
    """Text and bytes by key, shared by every thread and loop of the process.

    ``SharedState("redis://host:6379/0?prefix=app:")`` keeps them in Redis or Valkey instead.
    """

    def __init__(self, url: str | None = None) -> None:
        self._backend = backend(url)

    def use(self, backend: Backend) -> None:
        """Keep the values elsewhere from now on; before any were written."""
        self._backend = backend

    def set(self, key: str, value: str) -> None:
        self._backend.set(text(key), text(value).encode())

    def get(self, key: str) -> str | None:
        """The text of a key; None where there is none or it is not UTF-8."""
        raw = self._backend.get(text(key))
        try:
            return None if raw is None else raw.decode()
        except UnicodeDecodeError:
            return None

    def set_bytes(self, key: str, value: bytes) -> None:
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError(f"set_bytes() takes bytes, not {type(value).__name__}")
        self._backend.set(text(key), bytes(value))

    def get_bytes(self, key: str) -> bytes | None:
        return self._backend.get(text(key))

    def delete(self, key: str) -> bool:
        """Returns whether the key was there."""
        return self._backend.delete(text(key))

    def keys(self) -> list[str]:
        return self._backend.keys()

    def incr(self, key: str, amount: int = 1) -> int:
        """Add to an integer, from 0 if there is none, in one step; returns the sum.

        Raises TypeError if the value is no integer, OverflowError beyond 64 bits.
        """
        if isinstance(amount, bool) or not isinstance(amount, int):
            raise TypeError(f"incr() takes an int, not {type(amount).__name__}")
        return self._backend.incr(text(key), amount)

    def decr(self, key: str, amount: int = 1) -> int:
        """``incr(key, -amount)``."""
        return self.incr(key, -amount)

    def __getitem__(self, key: str) -> str:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: str) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._backend.contains(key)

    def __len__(self) -> int:
        return self._backend.size()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __repr__(self) -> str:
        return f"SharedState({len(self)} keys)"


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"SharedState holds text, not {type(value).__name__}: use json.dumps() or set_bytes()")
    return value
