import asyncio
from collections.abc import Callable
from typing import Any, Self

from typing_extensions import disjoint_base

from freelane.fastcore.threads.loop_queue import LoopQueue

@disjoint_base
class GranianLoop:
    loop: asyncio.AbstractEventLoop
    lane: LoopQueue
    def __new__(
        cls, loop: asyncio.AbstractEventLoop, lane: LoopQueue, run: Callable[[asyncio.Future[None]], object]
    ) -> Self: ...
    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> None: ...
    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> None: ...
    def create_future(self) -> asyncio.Future[Any]: ...
    def run_until_complete(self, stopped: Any) -> Any: ...
    def __getattr__(self, name: str) -> Any: ...
