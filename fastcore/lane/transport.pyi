import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Self

from typing_extensions import disjoint_base

@disjoint_base
class Link:
    loop: asyncio.AbstractEventLoop
    sock: socket.socket
    fd: int
    closed: bool
    def __new__(
        cls,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        accepted: Iterable[int],
        on_frame: Callable[[int, int, int, bytes], object],
        on_closed: Callable[[Exception | None], object],
    ) -> Self: ...
    @property
    def idle(self) -> bool: ...
    def readable(self) -> None: ...
    def write(self, data: bytes) -> None: ...
    def flush(self) -> None: ...
    def close(self, error: Exception | None = None) -> None: ...
