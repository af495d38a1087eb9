import asyncio
from collections.abc import Callable
from typing import Any, Self

from typing_extensions import disjoint_base

@disjoint_base
class LoopQueue:
    loop: asyncio.AbstractEventLoop
    wakeups: int
    posted: int
    def __new__(cls, loop: asyncio.AbstractEventLoop) -> Self: ...
    def post(self, callback: Callable[[Any], object], argument: Any) -> bool: ...
    def drain(self) -> None: ...
    def close(self) -> None: ...
