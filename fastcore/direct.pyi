from typing import Any, Protocol, Self, type_check_only

from typing_extensions import disjoint_base

from .body import WholeBody
from .executor import Executor
from .gateway import Gateway

@disjoint_base
class DirectExchange(WholeBody):
    gateway: Gateway
    source: Any
    method: str
    path: str
    target: Any
    params: dict[str, Any] | None
    body: bytes | None
    limit: int
    began: int
    def body_size(self) -> int: ...
    def claim(self) -> bool: ...
    def respond(self, status: int, headers: list[tuple[str, str]], body: bytes) -> bool: ...

@type_check_only
class Table(Protocol):
    """``match(method, path)`` as ``fastcore.router`` has it; ``answer_direct(exchange)`` gives status, headers and body."""

    max_body_size: int

    def match(self, method: str, path: str) -> Any: ...
    def answer_direct(self, exchange: DirectExchange) -> tuple[int, list[tuple[str, str]], Any]: ...

@type_check_only
class Owner(Protocol):
    compiled: Table | None
    @property
    def pipeline(self) -> Table: ...

@disjoint_base
class DirectDispatcher:
    gateway: Gateway
    inflight: set[DirectExchange]
    ticks: int
    def __new__(cls, owner: Owner, executor: Executor, gateway: Gateway) -> Self: ...
    @property
    def served(self) -> int: ...
    def schedule(self, watcher: Any) -> None: ...
    # A subclass has start(exchange), stream(exchange, status, headers, body) and refuse(exchange).
