from collections.abc import Callable
from typing import Any, Protocol

from .body import WholeBody
from .executor import Executor
from .gateway import Gateway

class DirectRoute:
    call: Callable[[Any], Any]
    free: bool

class DirectTable:
    match: Callable[[str, str], Any]
    answer_direct: Callable[[DirectExchange], tuple[int, list[tuple[str, str]], Any]]
    max_body_size: int

class DirectExchange(WholeBody):
    gateway: Gateway
    source: Any
    method: str
    path: str
    target: DirectRoute
    params: dict[str, Any] | None
    body: bytes | None
    limit: int
    began: int
    def body_size(self) -> int: ...
    def claim(self) -> bool: ...
    def respond(self, status: int, headers: list[tuple[str, str]], body: bytes) -> bool: ...

class Owner(Protocol):
    compiled: DirectTable | None
    @property
    def pipeline(self) -> DirectTable: ...

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
