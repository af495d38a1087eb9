"""Coroutines run without a loop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any


def finish[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits. Raises RuntimeError for one that does."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a step that never waits has waited")
