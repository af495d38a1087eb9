"""State shared by all threads and loops of the process, or, with a URL, by many machines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Protocol

# The range of Pyre's integers, and of Redis's.
LIMIT = 2**63


class Backend(Protocol):
    """Where a SharedState keeps its bytes. Every call is atomic and may come from any thread."""

    def set(self, key: str, value: bytes) -> None: ...
    def get(self, key: str) -> bytes | None: ...
    def delete(self, key: str) -> bool: ...
    def keys(self) -> list[str]: ...
    def size(self) -> int: ...
    def contains(self, key: str) -> bool: ...
    def incr(self, key: str, amount: int) -> int: ...


class Memory:
    """In this process. ``lock`` makes ``incr`` atomic; single reads and writes of a dict already are."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.lock = threading.Lock()

    def set(self, key: str, value: bytes) -> None:
        # Under the lock, or a value set between the halves of an incr would be lost.
        with self.lock:
            self.values[key] = value

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def delete(self, key: str) -> bool:
        with self.lock:
            return self.values.pop(key, None) is not None

    def keys(self) -> list[str]:
        with self.lock:
            return list(self.values)

    def size(self) -> int:
        return len(self.values)

    def contains(self, key: str) -> bool:
        return key in self.values

    def incr(self, key: str, amount: int) -> int:
        with self.lock:
            value = added(key, self.values.get(key, b"0"), amount)
            self.values[key] = str(value).encode()
            return value


def added(key: str, raw: bytes, amount: int) -> int:
    """Raises TypeError for a value that is no integer, OverflowError beyond 64 bits."""
    try:
        value = int(raw.decode("ascii")) if b"_" not in raw else None
    except ValueError:
        value = None
    if value is None:
        raise TypeError(f"incr({key!r}): existing value {raw[:60]!r} is not an integer")
    value += amount
    if not -LIMIT <= value < LIMIT:
        raise OverflowError(f"incr({key!r}): i64 overflow")
    return value


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
