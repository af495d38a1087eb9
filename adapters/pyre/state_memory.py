"""What keeps a SharedState's bytes: the interface, and the one in this process."""

from __future__ import annotations

import threading
from typing import Protocol

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
