import socket
from typing import Any, Self

from typing_extensions import disjoint_base

from freelane.fastcore.lane.transport import Link

PING: float  # seconds
REFUSED: int
BROKEN: int

@disjoint_base
class Load:
    busy: int
    requests: int
    waited: float
    worked: float

@disjoint_base
class Lane:
    client: Any
    process: Any
    calls: dict[int, Call]
    busy: int
    ready: bool
    alive: bool
    link: Link
    def __new__(cls, client: Any, process: Any, sock: socket.socket) -> Self: ...
    @property
    def free(self) -> bool: ...
    def on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None: ...
    def sweep(self, now: float) -> None: ...
    def ping(self, now: float) -> None: ...

@disjoint_base
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
    def __new__(cls, client: Any, exchange: Any) -> Self: ...
    def dispatch(self, lane: Lane) -> None: ...
    def finish(self) -> None: ...
    def reset(self) -> None: ...
    def fail(self, status: int) -> None: ...
    async def take_turn(self) -> None: ...
