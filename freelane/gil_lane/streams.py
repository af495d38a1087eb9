"""In a lane process: what the exchanges of fastcore speak to in place of Granian's ASGI protocol."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from freelane.fastcore import wire
from freelane.fastcore.link import Link

Message = dict[str, Any]

# A payload above this is sent from where it is instead of being copied behind its head (bytes).
COPY = 1 << 14


class Stream:
    """One stream of a connection: flow control both ways. Belongs to the loop's thread."""

    __slots__ = ("streams", "link", "id", "loop", "credit", "outbox", "drained", "waiter", "gone", "room", "used")

    def __init__(self, streams: dict[int, Any], link: Link, id: int) -> None:
        self.streams = streams
        self.link = link
        self.id = id
        self.loop = link.loop
        self.credit = wire.WINDOW
        self.outbox: deque[tuple[int, int, bytes]] | None = None
        self.drained: asyncio.Future[None] | None = None
        self.waiter: asyncio.Future[Message] | None = None
        self.gone = False
        # What the server may still send, and what the app took that it was not told of (bytes).
        self.room = wire.WINDOW
        self.used = 0

    def finish(self) -> None:
        self.streams.pop(self.id, None)

    def reset(self) -> None:
        """End the stream unfinished."""
        if not self.gone and self.id in self.streams:
            self.link.write(wire.frame(wire.RESET, 0, self.id, b""))
            self.lose()

    def lose(self) -> None:
        """The server has no more use for this stream."""
        self.gone = True
        self.finish()
        self.outbox = None
        if self.drained is not None and not self.drained.done():
            self.drained.set_result(None)

    def arrive(self, size: int) -> None:
        """The server sent ``size`` bytes. Raises ProtocolError where it had no credit."""
        if self.room <= 0:
            raise wire.ProtocolError(f"stream {self.id} had no credit left")
        self.room -= size

    def take(self, size: int) -> None:
        """The app took ``size`` bytes: let the server send more."""
        self.used += size
        if self.used > wire.WINDOW // 4 and not self.gone:
            self.link.write(wire.number_frame(wire.CREDIT, self.id, self.used))
            self.room += self.used
            self.used = 0

    def earn(self, size: int) -> None:
        """The server took ``size`` bytes."""
        self.credit += size
        outbox = self.outbox
        while outbox and self.credit > 0:
            kind, flags, data = outbox.popleft()
            self.put(kind, flags, data)
        if not outbox and self.drained is not None:
            drained, self.drained = self.drained, None
            if not drained.done():
                drained.set_result(None)

    def push(self, kind: int, flags: int, data: bytes) -> asyncio.Future[None] | None:
        """Send, or queue, a payload of any size; returns what to wait for before the next one."""
        if self.gone:
            return None
        if len(data) <= wire.MAX_CHUNK:
            self.push_chunk(kind, flags, data)
        else:
            view = memoryview(data)
            for start in range(0, len(data), wire.MAX_CHUNK):
                chunk = bytes(view[start : start + wire.MAX_CHUNK])
                last = start + wire.MAX_CHUNK >= len(data)
                self.push_chunk(kind, flags if last else flags & ~wire.END, chunk)
        if not self.outbox:
            return None
        if self.drained is None:
            self.drained = self.loop.create_future()
        return self.drained

    def push_chunk(self, kind: int, flags: int, data: bytes) -> None:
        if self.credit > 0 and not self.outbox:
            self.put(kind, flags, data)
        else:
            if self.outbox is None:
                self.outbox = deque()
            self.outbox.append((kind, flags, data))

    def put(self, kind: int, flags: int, data: bytes) -> None:
        self.credit -= len(data) + wire.HEADER_SIZE
        if len(data) <= COPY:
            self.link.write(wire.frame(kind, flags, self.id, data))
        else:
            self.link.write(wire.frame_head(kind, flags, self.id, len(data)))
            self.link.write(data)

    def done_future(self, result: Any = None) -> asyncio.Future[Any]:
        future = self.loop.create_future()
        future.set_result(result)
        return future


class HTTPStream(Stream):
    """One request: ``receive`` and ``send`` as ``HTTPExchange`` calls them on Granian's ASGI protocol."""

    __slots__ = ("parts", "body_ended", "head", "due")

    def __init__(self, streams: dict[int, Any], link: Link, id: int, body: bytes, ended: bool) -> None:
        super().__init__(streams, link, id)
        self.parts: deque[bytes] | None = None
        if body:
            # It comes with the request and uses no credit.
            self.parts = deque((body,))
            self.used -= len(body) + wire.HEADER_SIZE
        self.body_ended = ended
        self.head: tuple[int, list[tuple[bytes, bytes]]] | None = None
        # Of a response with a length, the bytes still to come; None without one.
        self.due: int | None = None

    def on_body(self, data: bytes, ended: bool) -> None:
        self.arrive(len(data) + wire.HEADER_SIZE)
        if data:
            if self.parts is None:
                self.parts = deque()
            self.parts.append(data)
        else:
            self.take(wire.HEADER_SIZE)
        self.body_ended = ended
        if self.waiter is not None:
            waiter, self.waiter = self.waiter, None
            if not waiter.done():
                waiter.set_result(self.next_part())

    def next_part(self) -> Message:
        data = b""
        if self.parts:
            data = self.parts.popleft()
            self.take(len(data) + wire.HEADER_SIZE)
        return {"type": "http.request", "body": data, "more_body": bool(self.parts) or not self.body_ended}

    def receive(self) -> asyncio.Future[Message]:
        if self.parts:
            return self.done_future(self.next_part())
        if self.gone or self.id not in self.streams:
            return self.done_future({"type": "http.disconnect"})
        waiter = self.waiter = self.loop.create_future()
        return waiter

    def lose(self) -> None:
        super().lose()
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result({"type": "http.disconnect"})

    def send(self, message: Message) -> asyncio.Future[None] | None:
        if self.gone:
            return None
        if message["type"] == "http.response.start":
            self.head = message["status"], message["headers"]
            return None
        data: bytes = message["body"]
        ended = not message["more_body"]
        if ended and self.id in self.streams:
            # What is queued still counts as this stream's until it is sent.
            pending = self.send_body(data, True)
            if pending is None:
                self.finish()
            else:
                pending.add_done_callback(lambda _: self.finish())
            return pending
        return self.send_body(data, ended)

    def send_body(self, data: bytes, ended: bool) -> asyncio.Future[None] | None:
        flags = wire.END if ended else 0
        if self.head is not None:
            status, headers = self.head
            self.head = None
            if len(data) <= wire.MAX_INLINE:
                self.link.write(wire.encode_response(self.id, status, headers, data, ended))
                if not ended:
                    self.count(headers, len(data))
                return None
            head = wire.encode_response(self.id, status, headers, b"", False)
            self.link.write(wire.soon(head) if ended else head)
            self.count(headers, len(data))
        elif self.due is not None:
            self.due -= len(data)
            if ended and self.due > 0:
                # Shorter than it said: the client must not take it for whole.
                self.reset()
                return None
        if data or ended:
            return self.push(wire.BODY, flags, data)
        return None

    def count(self, headers: list[tuple[bytes, bytes]], sent: int) -> None:
        for name, value in headers:
            if name == b"content-length":
                self.due = int(value) - sent


class WebSocketStream(Stream):
    """One WebSocket, as ``WebSocketExchange`` uses Granian's ASGI protocol; also its ``watcher``."""

    __slots__ = ("messages", "parts", "accepted", "answered", "denial")

    def __init__(self, streams: dict[int, Any], link: Link, id: int) -> None:
        super().__init__(streams, link, id)
        # Events, with the bytes that the app takes by receiving one.
        self.messages: deque[tuple[Message, int]] = deque([({"type": "websocket.connect"}, 0)])
        self.parts: list[bytes] = []
        self.accepted = False
        self.answered = False
        self.denial: tuple[int, list[tuple[bytes, bytes]]] | None = None

    def on_message(self, flags: int, data: bytes) -> None:
        size = len(data) + wire.HEADER_SIZE
        self.arrive(size)
        whole = wire.join_message(self.parts, flags, data)
        if whole is None:
            self.take(size)
            return
        key = "text" if flags & wire.TEXT else "bytes"
        self.deliver({"type": "websocket.receive", key: whole.decode() if flags & wire.TEXT else whole}, size)

    def on_close(self, code: int, reason: str) -> None:
        self.gone = True
        self.finish()
        self.deliver({"type": "websocket.disconnect", "code": code, "reason": reason}, 0)

    def deliver(self, event: Message, size: int) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            self.take(size)
            waiter.set_result(event)
        else:
            self.messages.append((event, size))

    def receive(self) -> asyncio.Future[Message]:
        if self.messages:
            event, size = self.messages.popleft()
            self.take(size)
            return self.done_future(event)
        waiter = self.waiter = self.loop.create_future()
        return waiter

    def lose(self) -> None:
        super().lose()
        self.deliver({"type": "websocket.disconnect", "code": 1006, "reason": ""}, 0)

    def send(self, event: Message) -> asyncio.Future[Any]:
        kind = event["type"]
        if self.gone:
            return self.done_future()
        if kind == "websocket.accept":
            self.accepted = True
            self.link.write(wire.encode_accept(self.id, event.get("subprotocol"), []))
        elif kind == "websocket.send":
            text, data = event.get("text"), event.get("bytes")
            payload = data if data is not None else text.encode()
            if len(payload) > wire.MAX_MESSAGE:
                raise RuntimeError(f"A WebSocket message of {len(payload)} bytes is more than the gil lane carries.")
            flags = wire.END if data is not None else wire.END | wire.TEXT
            return self.push(wire.MESSAGE, flags, payload) or self.done_future()
        elif kind == "websocket.close":
            self.answered = True
            self.push(wire.CLOSE, 0, wire.close_payload(event.get("code", 1000), event.get("reason") or ""))
            self.finish_soon()
        elif kind == "websocket.http.response.start":
            self.denial = event["status"], event["headers"]
        else:
            status, headers = self.denial  # type: ignore[misc]
            self.answered = True
            body = event["body"]
            inline = len(body) <= wire.MAX_INLINE
            self.link.write(wire.encode_response(self.id, status, headers, body if inline else b"", inline))
            if not inline:
                self.push(wire.BODY, wire.END, body)
            self.finish_soon()
        return self.done_future()

    def finish_soon(self) -> None:
        if self.outbox:
            assert self.drained is None or not self.drained.done()
            self.drained = self.drained or self.loop.create_future()
            self.drained.add_done_callback(lambda _: self.finish())
        else:
            self.finish()

    def done(self) -> None:
        """The exchange is over; Granian would answer 403 where nothing was sent."""
        if not self.accepted and not self.answered and not self.gone:
            self.answered = True
            self.link.write(wire.close_frame(self.id, 1000, ""))
            self.finish()
