import socket
from typing import Any

from typing_extensions import disjoint_base

from freelane.fastcore.lane.transport import Link

@disjoint_base
class Stream:
    def __init__(self, streams: dict[int, Stream], link: Link, id: int) -> None: ...
    def reset(self) -> None: ...
    def lose(self) -> None: ...

@disjoint_base
class HTTPStream(Stream):
    def __init__(self, streams: dict[int, Stream], link: Link, id: int, body: bytes, ended: bool) -> None: ...

@disjoint_base
class WebSocketStream(Stream): ...

@disjoint_base
class Connection:
    leaving: bool
    link: Link
    @property
    def busy(self) -> bool: ...
    def __init__(self, process: Any, sock: socket.socket) -> None: ...
    def on_frame(self, kind: int, flags: int, id: int, payload: bytes) -> None: ...
