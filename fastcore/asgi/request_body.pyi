from typing import Any

from typing_extensions import disjoint_base

from freelane.fastcore.asgi.loop_context import LoopContext

@disjoint_base
class RequestBody:
    gateway: LoopContext
    scope: dict[str, Any]
    async def body(self) -> bytes: ...
    def take_body(self, data: bytes) -> None: ...
    async def receive(self) -> dict[str, Any]: ...
    def body_was_read(self) -> None: ...
