from collections.abc import Awaitable, Callable, Iterable, Sized
from typing import Any, Self

from typing_extensions import disjoint_base

from freelane.fastcore.asgi.gateway import Gateway
from freelane.fastcore.asgi.http import HTTPExchange
from freelane.fastcore.routing.watch import Watch
from freelane.fastcore.threads.executor import Executor

def below(root_path: str, path: str) -> str: ...

@disjoint_base
class Guard:
    attributes: tuple[tuple[Any, str, Any], ...]
    sizes: tuple[tuple[Sized, int], ...]
    places: tuple[tuple[list[Any], int, Any], ...]
    absent: tuple[tuple[dict[str, Any], str], ...]
    watches: tuple[Watch, ...]
    def __new__(
        cls,
        attributes: Iterable[tuple[Any, str, Any]] = (),
        sizes: Iterable[tuple[Sized, int]] = (),
        places: Iterable[tuple[list[Any], int, Any]] = (),
        absent: Iterable[tuple[dict[str, Any], str]] = (),
        watches: Iterable[Watch] = (),
    ) -> Self: ...
    def holds(self) -> bool: ...

@disjoint_base
class Target:
    guard: Guard
    constants: dict[str, Any]
    fresh: dict[str, dict[str, Any]] | None
    body: bool
    def __new__(
        cls,
        guard: Guard,
        constants: dict[str, Any],
        answer: Callable[[HTTPExchange], Awaitable[None]],
        serve: Callable[[HTTPExchange, bytes | None], Any] | None = None,
        *,
        fresh: dict[str, dict[str, Any]] | None = None,
        body: bool = False,
    ) -> Self: ...

@disjoint_base
class Table:
    guard: Guard
    def __new__(cls, guard: Guard, match: Callable[[str, str], Any]) -> Self: ...

@disjoint_base
class Dispatcher:
    gateway: Gateway
    executor: Executor | None
    root_path: str
    def __new__(
        cls,
        gateway: Gateway,
        *,
        executor: Executor | None = None,
        root_path: str = "",
        renew: Callable[[], None] | None = None,
        busy: Callable[[Any], tuple[int, list[tuple[bytes, bytes]], bytes]] | None = None,
    ) -> Self: ...
    def publish(self, table: Table) -> None: ...
    def schedule(self, watcher: Any) -> None: ...
    def take(self, exchange: HTTPExchange) -> None: ...
