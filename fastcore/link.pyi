import asyncio
import socket
from collections.abc import Callable, Iterable

class Link:
    loop: asyncio.AbstractEventLoop
    sock: socket.socket
    fd: int
    closed: bool
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        accepted: Iterable[int],
        on_frame: Callable[[int, int, int, bytes], object],
        on_closed: Callable[[Exception | None], object],
    ) -> None: ...
    @property
    def idle(self) -> bool: ...
    def readable(self) -> None: ...
    def write(self, data: bytes) -> None: ...
    def flush(self) -> None: ...
    def close(self, error: Exception | None = None) -> None: ...
