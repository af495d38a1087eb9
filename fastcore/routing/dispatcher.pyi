from collections.abc import Callable
from typing import Any, Literal, Protocol, Self, type_check_only

from typing_extensions import disjoint_base

from freelane.fastcore.asgi.gateway import Gateway
from freelane.fastcore.asgi.http import HTTPExchange
from freelane.fastcore.asgi.responder import Responder
from freelane.fastcore.routing.guard import Guard
from freelane.fastcore.threads.executor import Executor

LANES: tuple[str, str, str]

@disjoint_base
class Target:
    guard: Guard | None
    lane: Literal["loop", "free", "gil"]
    body: bool
    limit: int

@disjoint_base
class Call(Responder):
    target: Any  # a Target, of the class that the table has
    params: dict[str, Any] | None
    table: Table
    body: bytes | None
    began: int

@disjoint_base
class Table:
    guard: Guard | None
    match: Callable[[str, str], Any]
    answer: Callable[[Call], tuple[int, list[tuple[str, str]], Any]] | None
    def __new__(
        cls,
        guard: Guard | None,
        match: Callable[[str, str], Any],
        answer: Callable[[Call], tuple[int, list[tuple[str, str]], Any]] | None = None,
    ) -> Self: ...

@type_check_only
class Owner(Protocol):
    """Who makes a dispatcher's table. With DirectTarget it has ``start`` and ``stream`` as well."""

    def renew(self) -> None: ...
    def refuse(self, call: Call) -> None: ...

@disjoint_base
class Dispatcher:
    gateway: Gateway
    owner: Owner
    executor: Executor | None
    root_path: str
    ticks: int
    def __new__(cls, gateway: Gateway, owner: Owner, *, executor: Executor | None = None, root_path: str = "") -> Self: ...
    def publish(self, table: Table) -> None: ...
    def schedule(self, watcher: Any) -> None: ...
    def take(self, exchange: HTTPExchange) -> None: ...
    @property
    def served(self) -> int: ...
    def running(self) -> list[Call]: ...

def below(root_path: str, path: str) -> str: ...
