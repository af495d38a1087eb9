"""A route's turn: what a call to the gil lane has in the place of an exchange, in the middle of the app's own layers.

Not typed, so not compiled. Everything here runs on the loop's thread.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, NoReturn, Protocol

from freelane.fastcore.asgi.websocket import HandshakeRefused


class LaneError(RuntimeError):
    """A process of the gil lane did not answer, or raised what cannot be carried here."""


class Parcels(Protocol):
    """Takes scopes and exceptions from one process to another."""

    def pack(self, scope: MutableMapping[str, Any], number: int) -> bytes: ...

    def renew(self, scope: MutableMapping[str, Any], packed: bytes) -> None: ...

    def unpack_error(self, packed: bytes) -> BaseException | None: ...


class Turn:
    """``receive`` and ``send`` are those of the layer around the route; ``number`` is the route's, in the lane's table."""

    def __init__(self, number: int, scope: MutableMapping[str, Any], receive: Any, send: Any, parcels: Parcels) -> None:
        self.number = number
        self.scope = scope
        self.receive = receive
        self.pass_on = send
        self.parcels = parcels
        self.packed = parcels.pack(scope, number)
        self.connecting = True

    async def send(self, event: MutableMapping[str, Any]) -> None:
        if event["type"] == "websocket.accept":
            self.connecting = False
        await self.pass_on(event)

    async def refuse(self, status: int, body: bytes) -> NoReturn:
        raise HandshakeRefused(status, body)

    def changed(self, packed: bytes) -> None:
        """The endpoint changed what the layers had left in the scope."""
        self.parcels.renew(self.scope, packed)

    def error(self, packed: bytes) -> BaseException | None:
        """What the endpoint raised; None where it just returned."""
        return self.parcels.unpack_error(packed) if packed else None

    def fail(self) -> NoReturn:
        raise LaneError("the request could not be handed to the gil lane: the log says why")

    def cut(self) -> NoReturn:
        raise LaneError("the gil lane's process was lost in the middle of its answer")
