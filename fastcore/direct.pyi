from typing import Any, Protocol

from .body import WholeBody
from .executor import Executor
from .gateway import Gateway

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

class Table(Protocol):
    """``match(method, path)`` as ``fastcore.router`` has it; ``answer_direct(exchange)`` gives status, headers and body."""

    max_body_size: int

    def match(self, method: str, path: str) -> Any: ...
    def answer_direct(self, exchange: DirectExchange) -> tuple[int, list[tuple[str, str]], Any]: ...

class Owner(Protocol):
    compiled: Table | None
    @property
    def pipeline(self) -> Table: ...

class DirectDispatcher:
    gateway: Gateway
    inflight: set[DirectExchange]
    ticks: int
    def __init__(self, owner: Owner, executor: Executor, gateway: Gateway) -> None: ...
    @property
    def served(self) -> int: ...
    def schedule(self, watcher: Any) -> None: ...
    def start(self, exchange: DirectExchange) -> None: ...
    def stream(self, exchange: DirectExchange, status: int, headers: list[tuple[str, str]], body: Any) -> None: ...
    def refuse(self, exchange: DirectExchange) -> None: ...
