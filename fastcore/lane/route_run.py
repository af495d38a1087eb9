"""In a lane process: one request that comes from inside the app's own layers in the server's process.

Its route alone runs. Events go both ways as they are: what a server does to them is done there,
outside of the layers. Not typed, so not compiled; everything here runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

from freelane.fastcore.asgi.websocket import ClientDisconnected

Message = MutableMapping[str, Any]

# Events that begin an answer.
STARTS = ("http.response.start", "websocket.accept", "websocket.close", "websocket.http.response.start")


class RouteRun:
    """``app(scope, receive, send)`` over a stream of the lane's connection.

    ``changes()`` gives what the app changed in the scope, packed, or b""; ``pack_error(exc)``
    packs an exception.
    """

    def __init__(
        self, gateway: Any, stream: Any, scope: Message, app: Callable[..., Any],
        changes: Callable[[], bytes], pack_error: Callable[[BaseException], bytes],
    ) -> None:  # fmt: skip
        self.gateway = gateway
        self.stream = stream
        self.scope = scope
        self.app = app
        self.changes = changes
        self.pack_error = pack_error
        self.http = scope["type"] == "http"
        self.task: asyncio.Task[None] | None = None
        # One reader at a time: the stream knows of one.
        self.reading = asyncio.Lock()
        self.body_ended = False
        self.started = self.ended = False
        # A response's start, until its first bytes are there or the app waits.
        self.start_event: Message | None = None
        self.denial: Message | None = None

    def start(self, context: Any) -> None:
        """Run the app in a task that takes its first step at once."""
        self.task = asyncio.Task(self.run(), loop=self.gateway.loop, eager_start=True, context=context)

    async def run(self) -> None:
        gateway = self.gateway
        gateway.active.add(self)
        try:
            await self.app(self.scope, self.receive, self.send)
        except BaseException as exc:
            if self.ended or self.stream.gone:
                # Nobody waits for it any more.
                gateway.log_error("Exception in ASGI application\n", exc)
            else:
                self.flush()
                self.stream.leave(self.pack_error(exc))
            if isinstance(exc, (SystemExit, KeyboardInterrupt)):
                raise
        else:
            if not self.ended:
                self.flush()
                self.stream.leave(b"")
        finally:
            self.task = None
            gateway.active.discard(self)

    async def receive(self) -> Message:
        async with self.reading:
            if self.http and not self.body_ended and self.stream.at_end:
                self.body_ended = True
                return {"type": "http.request", "body": b"", "more_body": False}
            event: Message = await self.stream.receive()
            if event["type"] == "http.request" and not event["more_body"]:
                self.body_ended = True
            return event

    async def send(self, event: Message) -> None:
        kind = event["type"]
        if not self.started and kind in STARTS:
            self.started = True
            if packed := self.changes():
                self.stream.change(packed)
        if self.http:
            pending = self.send_http(kind, event)
        else:
            if self.stream.gone and kind != "websocket.close":
                raise ClientDisconnected
            pending = self.send_websocket(kind, event)
        if pending is not None:
            await pending

    def send_http(self, kind: str, event: Message) -> Any:
        if self.ended:
            raise RuntimeError(f"Unexpected ASGI message '{kind}' sent, after response already completed.")
        if kind == "http.response.start":
            self.start_event = {"type": kind, "status": event["status"], "headers": pairs(event.get("headers", ()))}
            self.stream.send(self.start_event)
            self.gateway.loop.call_soon(self.flush)
            return None
        if kind != "http.response.body" or not self.started:
            expected = "body" if self.started else "start"
            raise RuntimeError(f"Expected ASGI message 'http.response.{expected}', but got '{kind}'.")
        self.start_event = None
        self.ended = not event.get("more_body", False)
        body = event.get("body", b"")
        data = body if type(body) is bytes else bytes(memoryview(body))
        return self.stream.send({"type": kind, "body": data, "more_body": not self.ended})

    def flush(self) -> None:
        """Let a response's head go ahead of a body that is not there yet."""
        if self.start_event is not None:
            self.start_event = None
            self.stream.send({"type": "http.response.body", "body": b"", "more_body": True})

    def send_websocket(self, kind: str, event: Message) -> Any:
        if kind == "websocket.accept":
            return self.stream.send({**event, "headers": pairs(event.get("headers") or ())})
        if kind == "websocket.http.response.start":
            self.denial = {"type": kind, "status": event["status"], "headers": pairs(event.get("headers", ())), "body": b""}
            return None
        if kind == "websocket.http.response.body" and self.denial is not None:
            self.denial["body"] += event.get("body", b"")
            if event.get("more_body", False):
                return None
            self.stream.send(self.denial)
            event = {"type": kind, "body": self.denial["body"]}
        elif kind == "websocket.send" and event.get("bytes") is None and event.get("text") is None:
            return None
        self.ended = kind != "websocket.send"
        return self.stream.send(event)


def pairs(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in headers]
