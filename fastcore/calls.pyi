import asyncio
import socket
from typing import Any

from .link import Link

class Load:
    busy: int
    requests: int
    waited: float
    worked: float

class Lane:
    client: Any
    process: Any
    calls: dict[int, Call]
    busy: int
    ready: bool
    alive: bool
    link: Link
    def __init__(self, client: Any, process: Any, sock: socket.socket) -> None: ...
    @property
    def free(self) -> bool: ...
    def sweep(self, now: float) -> None: ...
    def ping(self, now: float) -> None: ...

class Call:
    client: Any
    exchange: Any
    lane: Lane | None
    stream: int
    queued: float
    since: float
    waited: bool
    begun: bool
    over: bool
    def __init__(self, client: Any, exchange: Any) -> None: ...
    def start(self) -> None: ...
    def dispatch(self, lane: Lane) -> None: ...
    def finish(self) -> None: ...
    def reset(self) -> None: ...
    def fail(self, status: int) -> None: ...
    def look_for_disconnect(self) -> None: ...
    async def run(self, scope: Any, receive: Any, send: Any) -> None: ...

class HTTPCall(Call): ...
class WebSocketCall(Call): ...
