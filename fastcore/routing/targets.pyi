from collections.abc import Awaitable, Callable
from typing import Any, Self

from typing_extensions import disjoint_base

from freelane.fastcore.asgi.http import HTTPExchange
from freelane.fastcore.routing.dispatcher import Target
from freelane.fastcore.routing.guard import Guard

@disjoint_base
class ASGITarget(Target):
    constants: dict[str, Any]
    fresh: dict[str, dict[str, Any]] | None
    answer: Callable[[HTTPExchange], Awaitable[None] | None]
    answer_here: Callable[[HTTPExchange, bytes | None], Any] | None
    def __new__(
        cls,
        guard: Guard | None,
        constants: dict[str, Any],
        answer: Callable[[HTTPExchange], Awaitable[None] | None],
        answer_here: Callable[[HTTPExchange, bytes | None], Any] | None = None,
        *,
        fresh: dict[str, dict[str, Any]] | None = None,
        body: bool = False,
    ) -> Self: ...

class LaneTarget(Target):
    def __new__(cls, guard: Guard | None) -> Self: ...

class DirectTarget(Target): ...

def hand_over(exchange: HTTPExchange) -> None: ...
