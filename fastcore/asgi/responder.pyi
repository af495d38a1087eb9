from typing import Any

from typing_extensions import disjoint_base

from freelane.fastcore.asgi.gateway import Gateway
from freelane.fastcore.threads.body_reader import BodyReader

@disjoint_base
class Responder(BodyReader):
    gateway: Gateway
    source: Any
    method: str
    path: str
    free: bool
    def claim(self) -> bool: ...
    def respond(self, status: int, headers: list[tuple[str, str]], body: bytes) -> bool: ...
