from collections.abc import Callable
from typing import Any, Protocol, Self, type_check_only

from typing_extensions import disjoint_base

from freelane.fastcore.asgi.gateway import Gateway
from freelane.fastcore.threads.body_reader import BodyReader
from freelane.fastcore.threads.executor import Executor

@disjoint_base
class DirectRoute:
    call: Callable[[Any], Any]
    free: bool
    body: bool

@disjoint_base
class DirectTable:
    match: Callable[[str, str], Any]
    answer_direct: Callable[[DirectExchange], tuple[int, list[tuple[str, str]], Any]]
    max_body_size: int

@disjoint_base
class DirectExchange(BodyReader):
    gateway: Gateway
    source: Any
    method: str
    path: str
    target: Any  # a DirectRoute, of the class that the table has
    params: dict[str, Any] | None
    body: bytes | None
    began: int
    def claim(self) -> bool: ...
    def respond(self, status: int, headers: list[tuple[str, str]], body: bytes) -> bool: ...

@type_check_only
class Owner(Protocol):
    compiled: DirectTable | None
    @property
    def pipeline(self) -> DirectTable: ...

@disjoint_base
class DirectDispatcher:
    gateway: Gateway
    ticks: int
    def __new__(cls, owner: Owner, executor: Executor, gateway: Gateway) -> Self: ...
    @property
    def served(self) -> int: ...
    def schedule(self, watcher: Any) -> None: ...
    def running(self) -> list[DirectExchange]: ...
    # A subclass has start(exchange), stream(exchange, status, headers, body) and refuse(exchange).
