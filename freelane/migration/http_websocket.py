"""A WebSocket that a side behind HTTP answers: every message goes over, both ways, until one of them closes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from freelane.migration.sides import Unreachable

if TYPE_CHECKING:
    from freelane.migration.http_side import HTTPSide


async def relay(side: HTTPSide, scope: Any, receive: Any, send: Any) -> None:
    """Raises Unreachable while nobody has seen anything of it."""
    aiohttp = side.aiohttp
    try:
        socket = await side.session().ws_connect(
            side.address(scope), protocols=scope.get("subprotocols", ()), headers=side.headers(scope), max_msg_size=0
        )
    except aiohttp.ClientConnectorError as exc:
        raise Unreachable(type(exc).__name__) from None
    except (aiohttp.ClientError, TimeoutError):
        await receive()  # the handshake
        await send({"type": "websocket.close", "code": 1000})  # 403, as the ASGI specification has it
        return
    try:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": socket.protocol})
        upward = asyncio.create_task(to_side(receive, socket))
        downward = asyncio.create_task(to_client(aiohttp, socket, send))
        try:
            await asyncio.wait((upward, downward), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (upward, downward):
                task.cancel()
            await asyncio.gather(upward, downward, return_exceptions=True)
    finally:
        await socket.close()


async def to_side(receive: Any, socket: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code") or 1000
            # 1005 and 1006 are never sent (RFC 6455, 7.4.1).
            await socket.close(code=code if code not in (1005, 1006) else 1000)
            return
        if message.get("text") is not None:
            await socket.send_str(message["text"])
        else:
            await socket.send_bytes(message["bytes"])


async def to_client(aiohttp: Any, socket: Any, send: Any) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            await send({"type": "websocket.send", "text": message.data})
        elif message.type is aiohttp.WSMsgType.BINARY:
            await send({"type": "websocket.send", "bytes": message.data})
    await send({"type": "websocket.close", "code": socket.close_code or 1000})
