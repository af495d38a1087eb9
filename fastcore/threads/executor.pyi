from collections.abc import Callable
from contextvars import Context
from typing import Any, Self

from typing_extensions import disjoint_base

from freelane.fastcore.threads.future import FastFuture
from freelane.fastcore.threads.loop_queue import LoopQueue

class ExecutorFull(RuntimeError): ...
class ExecutorStopped(RuntimeError): ...

@disjoint_base
class Executor:
    limit: int
    backlog_limit: int
    cores: int
    allowed: int
    finished: int
    parked: bool
    name: str
    def __new__(cls, limit: int = 40, backlog_limit: int = 1000, name: str = "freelane", cores: int = 0) -> Self: ...
    @property
    def busy_slots(self) -> int: ...
    @property
    def queued(self) -> int: ...
    def set_limit(self, limit: int) -> None: ...
    def run_here[T](self, function: Callable[[T], object], argument: T) -> bool: ...
    def submit[T](
        self,
        function: Callable[..., T],
        /,
        *args: Any,
        lane: LoopQueue | None = None,
        context: Context | None = None,
        **kwargs: Any,
    ) -> FastFuture[T]: ...
    def submit_now[T](
        self,
        function: Callable[..., T],
        /,
        *args: Any,
        lane: LoopQueue | None = None,
        context: Context | None = None,
        **kwargs: Any,
    ) -> FastFuture[T]: ...
    def shutdown(self) -> None: ...

def usable_cores() -> int: ...
