"""WebSocket over ASGI 3 (asgi.readthedocs.io, WebSocket message format) on Granian's protocols.

Not typed, so not compiled. Everything here runs on the loop's thread; ``send`` gets there by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections import deque
from collections.abc import MutableMapping
from typing import Any, NoReturn

from freelane.fastcore.asgi.headers import check_headers, check_status
from freelane.fastcore.asgi.scope import split_address

Message = MutableMapping[str, Any]


class Stage(enum.Enum):
    CONNECTING = "connecting"
    DENYING = "denying"
    OPEN = "open"
    CLOSED = "closed"


# Bytes of one message above which the socket is closed with 1009; a server that is told another number sets it
# before it serves.
MAX_MESSAGE = 16 << 20

# What may stand in a close frame (RFC 6455, 7.4), as the websockets library has it.
CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})


# How often a handshake that hangs looks whether its client is still there.
LOOK_SECONDS = 1
# What a client gets to take the close frame when the app is done.
CLOSE_SECONDS = 2


class ClientDisconnected(OSError):
    """A message was sent to a client that is gone (ASGI spec_version 2.4)."""


class HandshakeRefused(Exception):
    """Raised through an app: the handshake is to be answered with a status, which plain ASGI has no event for."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"the handshake is refused with status {status}")
        self.status = status
        self.body = body


class WebSocketExchange:
    """``receive`` and ``send`` for one WebSocket, and the task that runs the app with them."""

    def __init__(self, gateway: Any, proto: Any, source: Any, scope: MutableMapping[str, Any], peer: Any = None) -> None:
        self.gateway = gateway
        # As `HTTPExchange.peer`: what proxies say names no socket of ours.
        self.peer = split_address(source.client) if gateway.rsgi else peer
        self.app = gateway.app
        self.proto = proto
        self.scope = scope
        self.loop: asyncio.AbstractEventLoop = gateway.loop
        self.rsgi: bool = gateway.rsgi
        self.stage = Stage.CONNECTING
        self.disconnected = False
        self.events: deque[Message] = deque([{"type": "websocket.connect"}])
        self.waiters: list[asyncio.Future[None]] = []
        self.reading: Any = None
        self.transport: Any = None
        self.denial: tuple[int, list[tuple[bytes, bytes]], bytes] | None = None
        self.writing = asyncio.Lock()
        # The close frame on its way, which ends before the socket is given back.
        self.closing: Any = None
        self.watcher: Any = None
        self.task: asyncio.Task[None] | None = None

    @property
    def connecting(self) -> bool:
        """Whether the handshake waits for its answer."""
        return self.stage is Stage.CONNECTING

    def start(self, context: Any) -> None:
        """Run the app in a task that takes its first step at once."""
        self.task = asyncio.Task(self.run(), loop=self.loop, eager_start=True, context=context)

    async def run(self) -> None:
        """Call the app; close the socket for it when it does not."""
        gateway = self.gateway
        gateway.active.add(self)
        try:
            result = await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except HandshakeRefused as exc:
            await self.refuse(exc.status, exc.body)
        except BaseException as exc:
            gateway.log_error("Exception in ASGI application\n", exc)
            await self.refuse(500, b"Internal Server Error")
            if isinstance(exc, (SystemExit, KeyboardInterrupt)):
                raise
        else:
            if self.stage in (Stage.CONNECTING, Stage.DENYING):
                gateway.log_error("ASGI callable returned without completing handshake.", None)
                await self.refuse(500, b"Internal Server Error")
            elif result is not None:
                gateway.log_error(f"ASGI callable should return None, but returned '{result}'.", None)
        finally:
            if self.closing is not None and not self.closing.done():
                # Cancelled while it closed: the frame still goes out, to a client that takes it.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await self.settle(self.closing)
            if self.stage is Stage.OPEN and not self.disconnected:
                # The app left without closing: the client must see no clean close.
                gateway.cut(self.peer, self.release)
            else:
                self.release()
            gateway.active.discard(self)

    def release(self) -> None:
        """Give the socket back to the server."""
        self.stage = Stage.CLOSED
        self.stop_reading()
        self.transport = None
        if self.watcher is not None:
            self.watcher.done()
        elif self.rsgi:
            self.proto.close(None)

    async def receive(self) -> Message:
        """The next event; waits for one."""
        while not self.events:
            if self.stage is Stage.OPEN and self.reading is None and not self.disconnected:
                self.read()
                continue
            waiter = self.loop.create_future()
            self.waiters.append(waiter)
            try:
                await waiter
            except BaseException:
                with contextlib.suppress(ValueError):
                    self.waiters.remove(waiter)
                raise
        event = self.events.popleft()
        if not self.events and self.stage is Stage.OPEN and self.reading is None and not self.disconnected:
            # Read one event ahead, so that a send learns of a client that left.
            self.read()
        return event

    def put(self, event: Message) -> None:
        self.events.append(event)
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def read(self) -> None:
        source = self.transport if self.rsgi else self.proto
        self.reading = reading = self.as_future(source.receive())
        reading.add_done_callback(self.on_read)
        # Granian may lose a callback added while the result arrives, so look once more.
        if reading.done():
            self.on_read(reading)

    def on_read(self, reading: Any) -> None:
        if reading is not self.reading:
            return
        self.reading = None
        try:
            event = self.event(reading.result())
        except BaseException:
            event = {"type": "websocket.disconnect", "code": 1005}
        if event["type"] == "websocket.disconnect":
            if self.stage is Stage.CLOSED:
                return
            self.disconnected = True
            if event.get("code") == 1005 and not self.rsgi:
                # Granian says as much of a frame above its own limit, which must be answered;
                # where the client has closed or is gone, nothing is sent.
                self.begin_close(1009, "")
        elif too_long(event):
            self.disconnected = True
            event = {"type": "websocket.disconnect", "code": 1009, "reason": ""}
            self.begin_close(1009, "")
        self.put(event)

    def stop_reading(self) -> None:
        reading, self.reading = self.reading, None
        if reading is not None:
            reading.cancel()

    def event(self, message: Any) -> Message:
        if not self.rsgi:
            event: Message = message
            if event["type"] == "websocket.disconnect" and "reason" not in event:
                return {**event, "reason": ""}
            return event
        if message.kind == 0:
            return {"type": "websocket.disconnect", "code": 1005, "reason": ""}
        if message.kind == 1:
            return {"type": "websocket.receive", "bytes": message.data}
        return {"type": "websocket.receive", "text": message.data}

    def as_future(self, awaitable: Any) -> Any:
        if hasattr(awaitable, "add_done_callback"):
            return awaitable
        return asyncio.ensure_future(awaitable, loop=self.loop)

    async def settle(self, awaitable: Any) -> Any:
        """Wait for one of Granian's awaitables, whose loop may stand for ours."""
        future = self.as_future(awaitable)
        waiter = self.loop.create_future()

        def wake(_: Any) -> None:
            if not waiter.done():
                waiter.set_result(None)

        future.add_done_callback(wake)
        if future.done():
            wake(future)
        await waiter
        return future.result()

    async def settle_while_connected(self, awaitable: Any) -> None:
        """``settle`` for what Granian leaves undone when the client is gone. Raises ClientDisconnected then."""
        future, connections = self.as_future(awaitable), self.gateway.connections
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.settle(future)
                    return
            except TimeoutError:
                if connections is not None and connections.left(self.peer):
                    future.cancel()
                    self.lose()

    async def send(self, message: Message) -> None:
        """Take one event. Raises RuntimeError out of order, ClientDisconnected when nobody is there."""
        if asyncio.get_running_loop() is not self.loop:
            await self.send_from_elsewhere(message)
            return
        kind = message["type"]
        if self.disconnected:
            if kind == "websocket.close":
                return  # what it asks for has happened
            raise ClientDisconnected
        if self.stage is Stage.CONNECTING:
            await self.send_connecting(kind, message)
        elif self.stage is Stage.OPEN:
            await self.send_open(kind, message)
        elif self.stage is Stage.DENYING:
            if kind != "websocket.http.response.body":
                raise RuntimeError(f"Expected ASGI message 'websocket.http.response.body' but got '{kind}'.")
            status, headers, body = self.denial  # type: ignore[misc]
            self.denial = status, headers, body + message["body"]
            if not message.get("more_body", False):
                await self.deny(*self.denial)
        else:
            raise RuntimeError(f"Unexpected ASGI message '{kind}', after sending 'websocket.close'.")

    async def send_from_elsewhere(self, message: Message) -> None:
        """``send`` for a task of another loop: those of one process share the sockets that an app keeps."""
        sending = self.send(message)
        try:
            future = asyncio.run_coroutine_threadsafe(sending, self.loop)
        except RuntimeError:  # that loop is closed, and its sockets with it
            sending.close()
            raise ClientDisconnected from None
        await asyncio.wrap_future(future)

    async def send_connecting(self, kind: str, message: Message) -> None:
        if kind == "websocket.accept":
            await self.accept(message)
        elif kind == "websocket.close":
            await self.refuse(403, b"")
        elif kind == "websocket.http.response.start" and not self.rsgi:
            status = check_status(message["status"])
            self.denial = status, check_headers(message.get("headers", ())), b""
            self.stage = Stage.DENYING
        else:
            raise RuntimeError(
                "Expected ASGI message 'websocket.accept', 'websocket.close' "
                f"or 'websocket.http.response.start' but got '{kind}'."
            )

    async def accept(self, message: Message) -> None:
        headers = list(message.get("headers") or ())
        subprotocol = message.get("subprotocol")
        if headers:
            names = ", ".join(name.decode("latin-1") for name, _ in check_headers(headers))
            self.gateway.note_loss(f"headers with a WebSocket's acceptance ({names})", mended=False)
        if subprotocol and not (subprotocol.isascii() and subprotocol.isprintable()):
            # Granian would end the process for it.
            raise RuntimeError("Invalid WebSocket subprotocol.")
        if self.rsgi:
            if subprotocol:
                raise RuntimeError(
                    f"RSGI cannot carry the WebSocket subprotocol '{subprotocol}'. Serve this app with --transport asgi."
                )
            try:
                self.transport = await self.settle(self.proto.accept())
            except RuntimeError:
                self.lose()
        else:
            event: dict[str, Any] = {"type": "websocket.accept"}
            if subprotocol:
                event["subprotocol"] = subprotocol
            # Its own connect event, before the acceptance: Granian ends the process where it is
            # asked for it on a connection that was lost meanwhile.
            await self.settle(self.proto.receive())
            await self.settle_while_connected(self.proto.send(event))
        self.stage = Stage.OPEN
        if self.gateway.observed:
            self.gateway.observe(self.scope, 101, [])
        self.read()

    def lose(self) -> NoReturn:
        """The client left before the handshake had its answer."""
        self.disconnected = True
        self.stage = Stage.CLOSED
        self.put({"type": "websocket.disconnect", "code": 1006})
        raise ClientDisconnected

    async def send_open(self, kind: str, message: Message) -> None:
        if kind == "websocket.close":
            await self.close(message.get("code", 1000), message.get("reason") or "")
            return
        if kind != "websocket.send":
            raise RuntimeError(f"Expected ASGI message 'websocket.send' or 'websocket.close', but got '{kind}'.")
        data, text = message.get("bytes"), message.get("text")
        if data is None and text is None:
            return
        try:
            # Granian refuses a write while another one is under way.
            async with self.writing:
                if not self.rsgi:
                    key, value = ("bytes", bytes(data)) if data is not None else ("text", text)
                    await self.settle(self.proto.send({"type": "websocket.send", key: value}))
                elif data is not None:
                    await self.settle(self.transport.send_bytes(bytes(data)))
                else:
                    await self.settle(self.transport.send_str(text))
        except RuntimeError:
            self.disconnected = True
            raise ClientDisconnected from None

    async def close(self, code: int, reason: str) -> None:
        """Raises RuntimeError, and closes nothing, for what no close frame can hold."""
        if code not in CLOSE_CODES:
            raise RuntimeError(f"Invalid WebSocket close code {code}.")
        if len(reason.encode()) > 123:
            raise RuntimeError("A WebSocket close reason may have 123 bytes (RFC 6455, 5.5).")
        # Granian refuses a write while another one is under way.
        async with self.writing:
            if self.stage is not Stage.OPEN or self.disconnected:
                return
            self.stage = Stage.CLOSED
            self.begin_close(code, reason)
            try:
                if self.closing is not None:
                    await self.settle(self.closing)
            finally:
                # Whoever hears of it may cancel what sends the frame.
                self.put({"type": "websocket.disconnect", "code": code, "reason": reason})

    def begin_close(self, code: int, reason: str) -> None:
        # Granian's close waits for a read that is under way.
        self.stop_reading()
        if self.rsgi:
            if code != 1000 or reason:
                self.gateway.note_loss("WebSocket close codes and reasons")
            self.transport = None
            self.proto.close(code)
        else:
            event = {"type": "websocket.close", "code": code, "reason": reason}
            self.closing = self.as_future(self.proto.send(event))

    async def shutdown(self) -> None:
        """Tell both sides that the server stops (RFC 6455, 7.4.1: 1012 is "service restart")."""
        if self.stage is Stage.OPEN and not self.disconnected:
            await self.close(1012, "")
        elif self.stage in (Stage.CONNECTING, Stage.DENYING):
            await self.refuse(500, b"Internal Server Error")
        # From here on a message finds nobody, which is no mistake of the app's.
        self.disconnected = True

    async def refuse(self, status: int, body: bytes) -> None:
        """Answer the handshake with an HTTP response; nothing if it was answered."""
        if self.stage is Stage.CONNECTING or (self.stage is Stage.DENYING and status == 500):
            await self.deny(status, [], body)

    async def deny(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        names = {name for name, _ in headers}
        defaults = {
            b"connection": b"close",
            b"content-length": str(len(body)).encode("ascii"),
            b"content-type": b"text/plain; charset=utf-8",
        }
        headers = headers + [(name, value) for name, value in defaults.items() if name not in names]
        self.stage = Stage.CLOSED
        self.put({"type": "websocket.disconnect", "code": 1006})
        if self.gateway.observed:
            self.gateway.observe(self.scope, status, headers)
        if self.rsgi:
            self.proto.close(status)
            return
        if status == 403 and not body and not names and self.watcher is not None:
            # What Granian answers by itself has fewer headers of a handshake that failed.
            self.watcher.done()
            return
        self.proto.send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await self.settle(self.proto.send({"type": "websocket.http.response.body", "body": body}))


def too_long(event: Message) -> bool:
    text = event.get("text")
    if text is None:
        return len(event.get("bytes") or b"") > MAX_MESSAGE
    return len(text) * 4 > MAX_MESSAGE and len(text.encode()) > MAX_MESSAGE
