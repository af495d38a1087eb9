import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, Protocol, Self, type_check_only

from typing_extensions import disjoint_base

from freelane.fastcore.threads.loop_queue import LoopQueue

@type_check_only
class Active(Protocol):
    """A request in progress, as shutdown sees it."""

    @property
    def task(self) -> asyncio.Task[None] | None: ...

@disjoint_base
class LoopContext:
    app: Any
    loop: asyncio.AbstractEventLoop
    lane: LoopQueue | None
    rsgi: bool
    root_path: str
    state: dict[str, Any]
    active: set[Active]
    context: Context
    observed: bool
    def __new__(
        cls,
        app: Any,
        loop: asyncio.AbstractEventLoop,
        *,
        lane: LoopQueue | None = None,
        rsgi: bool = True,
        root_path: str = "",
        state: dict[str, Any] | None = None,
        context: Context | None = None,
        forwarded: Callable[..., tuple[Any, str]] | None = None,
        observer: Callable[[Any, int, list[Any]], None] | None = None,
        connections: Any = None,
        logger: Any = None,
        extensions: dict[str, Any] | None = None,
    ) -> Self: ...
    def observe(self, scope: Any, status: int, headers: list[Any]) -> None: ...
    def say_goodbye(self) -> None: ...
    def log_error(self, message: str, exc: BaseException | None) -> None: ...
    def log_informational(self, scope: Any, status: int) -> None: ...
    def log_broken(self, scope: Any, peer: Any) -> None: ...
    def note_loss(self, what: str, mended: bool = True) -> None: ...
    async def drain(self, peer: Any) -> None: ...
    def cut(self, peer: Any, release: Callable[[], None]) -> None: ...
    def breaks(self, scope: Any) -> bool: ...
