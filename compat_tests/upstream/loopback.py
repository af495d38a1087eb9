"""An ASGI app that puts ``freelane.wrap`` and an in-memory RSGI server in front of another one.

Starlette's TestClient calls an ASGI app; through this it reaches the app under test by way
of RSGI and back.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import anyio

from freelane.adapters.registry import Way, adapt
from freelane.fastcore.asgi.gateway import Gateway
from freelane.testing import HTTPProtocol, MessageType, WebsocketMessage, WebsocketProtocol, make_scope


class Errors:
    """Collects what a server would log, since TestClient raises it."""

    def __init__(self) -> None:
        self.raised: BaseException | None = None
        self.protocol: HTTPProtocol | None = None
        self.unanswered = False

    def error(self, message: str, exc_info: BaseException | None = None) -> None:
        self.raised = exc_info
        self.unanswered = self.protocol is not None and self.protocol.head is None

    def warning(self, *args: Any) -> None:
        pass


class Loopback:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        errors = Errors()
        adapted = adapt(self.app)
        gateway = Gateway(
            adapted.app,
            asyncio.get_running_loop(),
            root_path=scope["root_path"],
            state=scope.get("state", {}),
            logger=errors,
            extensions={},
        )
        way = adapted.bind(gateway)
        if scope["type"] == "http":
            await self.http(gateway, way, errors, scope, receive, send)
        else:
            await self.websocket(gateway, errors, scope, receive, send)
        if errors.raised is not None:
            raise errors.raised

    def rsgi_scope(self, scope: Any, **values: Any) -> Any:
        client = scope["client"]
        host, port = scope["server"]
        target = quote(scope["path"], safe="/:@!$&'()*+,;=-._~%")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("ascii")
        made = make_scope(
            scope.get("method", "GET"),
            target,
            scope["headers"],
            scheme=scope["scheme"].replace("ws", "http"),
            server=f"{host}:{port}",
            client=f"{client[0]}:{client[1]}" if client else "",
            **values,
        )
        # The gateway puts root_path in front, as servers do; TestClient leaves that to the caller.
        made.path = scope["path"].removeprefix(scope["root_path"])
        return made

    async def http(self, gateway: Gateway, way: Way | None, errors: Errors, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        protocol = errors.protocol = HTTPProtocol(message["body"])
        rsgi_scope = self.rsgi_scope(scope)
        if message["body"]:
            rsgi_scope.headers.pairs.setdefault("content-length", [str(len(message["body"])).encode()])
        exchange = gateway.open(rsgi_scope, protocol)
        if way is not None:
            way.take(exchange)
        gone = asyncio.ensure_future(self.leave(receive, protocol))
        copying = asyncio.ensure_future(self.copy(protocol, send))
        try:
            await exchange.run()
            del exchange
            # TestClient wants the app's exception, not the 500 that a server makes of it.
            if protocol.head is not None and not errors.unanswered:
                await copying
        finally:
            gone.cancel()
            copying.cancel()

    async def leave(self, receive: Any, protocol: HTTPProtocol) -> None:
        await receive()
        protocol.closed.set()

    async def copy(self, protocol: HTTPProtocol, send: Any) -> None:
        await protocol.answered.wait()
        assert protocol.head is not None
        status, headers = protocol.head
        pairs = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        while True:
            getter = asyncio.ensure_future(protocol.chunks.get())
            ended = asyncio.ensure_future(protocol.ended.wait())
            await asyncio.wait([getter, ended], return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            if not getter.done():
                getter.cancel()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            last = protocol.ended.is_set() and protocol.chunks.empty()
            await send({"type": "http.response.body", "body": getter.result(), "more_body": not last})
            if last:
                return

    async def websocket(self, gateway: Gateway, errors: Errors, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        protocol = WebsocketProtocol()
        headers = list(scope["headers"])
        exchange = gateway.open(self.rsgi_scope({**scope, "headers": headers}, proto="ws"), protocol)
        incoming = asyncio.ensure_future(self.incoming(protocol, receive))
        outgoing = asyncio.ensure_future(self.outgoing(protocol, errors, send))
        running = asyncio.ensure_future(exchange.run())
        try:
            await asyncio.shield(running)
            await outgoing
        except asyncio.CancelledError:
            # TestClient cancels what a server would let end: the app has been told of the disconnect.
            # anyio cancels again and again, so that a plain wait would end at once.
            with anyio.CancelScope(shield=True):
                await asyncio.wait([running], timeout=60)
            running.cancel()
            if errors.raised is None:
                raise
        finally:
            incoming.cancel()
            outgoing.cancel()

    async def incoming(self, protocol: WebsocketProtocol, receive: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                protocol.incoming.put_nowait(WebsocketMessage(MessageType.close))
                return
            if message.get("text") is not None:
                protocol.incoming.put_nowait(WebsocketMessage(MessageType.string, message["text"]))
            else:
                protocol.incoming.put_nowait(WebsocketMessage(MessageType.bytes, message.get("bytes") or b""))

    async def outgoing(self, protocol: WebsocketProtocol, errors: Errors, send: Any) -> None:
        answers = [asyncio.ensure_future(event.wait()) for event in (protocol.accepted, protocol.closed)]
        await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        for answer in answers:
            answer.cancel()
        if errors.raised is not None:
            return  # TestClient wants the app's exception, not the 500 that a server makes of it
        if not protocol.accepted.is_set():
            # The handshake is answered with an HTTP status, which has no close code.
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept", "headers": []})
        while (data := await protocol.outgoing.get()) is not None:
            await send({"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data})
        if errors.raised is None:
            await send({"type": "websocket.close", "code": protocol.status or 1000, "reason": ""})
