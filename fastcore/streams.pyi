import socket
from typing import Any

from .link import Link

class LaneScope(dict[str, Any]):
    stream: Stream

class Stream:
    def reset(self) -> None: ...
    def lose(self) -> None: ...

class HTTPStream(Stream): ...
class WebSocketStream(Stream): ...

class Connection:
    leaving: bool
    link: Link
    @property
    def busy(self) -> bool: ...
    def __init__(self, process: Any, sock: socket.socket) -> None: ...
