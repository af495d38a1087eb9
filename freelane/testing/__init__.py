"""Test an app without sockets: an RSGI server in memory, and httpx on top of it. Imports the API.

``Transport`` plugs an app into ``httpx``; ``call`` and ``websocket`` are the layer below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from freelane.testing.server import (
    Answer,
    Done,
    Headers,
    HTTPProtocol,
    Lifespan,
    MessageType,
    ProtocolClosed,
    ProtocolError,
    Ready,
    Scope,
    StreamTransport,
    WebsocketMessage,
    WebsocketProtocol,
    WebsocketTransport,
    as_rsgi,
    call,
    ended,
    make_scope,
    visible,
)

if TYPE_CHECKING:
    from freelane.testing.transport import Transport

__all__ = [
    "Answer",
    "Done",
    "HTTPProtocol",
    "Headers",
    "Lifespan",
    "MessageType",
    "ProtocolClosed",
    "ProtocolError",
    "Ready",
    "Scope",
    "StreamTransport",
    "Transport",
    "WebsocketMessage",
    "WebsocketProtocol",
    "WebsocketTransport",
    "as_rsgi",
    "call",
    "ended",
    "make_scope",
    "visible",
]


def __getattr__(name: str) -> Any:
    # httpx is a dependency of tests only.
    if name == "Transport":
        from freelane.testing.transport import Transport

        return Transport
    raise AttributeError(f"module 'freelane.testing' has no attribute '{name}'")
