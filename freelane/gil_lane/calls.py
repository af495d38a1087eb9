"""In the server: one request or WebSocket on its way through a lane process.

A call belongs to the thread of its worker's loop. A request without a body whose whole
response comes in one frame costs no task; any other is run by its exchange's own task, as an
ASGI app that speaks to the lane.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from freelane.fastcore import wire

if TYPE_CHECKING:
    from freelane.gil_lane.client import Lane, LaneClient

# Kinds of events that come from this process and not from the lane; the payload is a status.
REFUSED = 0
PHRASES = {500: b"Internal Server Error", 502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout"}
COPY = 1 << 14

Event = tuple[int, int, Any]


def error_headers(status: int) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(PHRASES[status])).encode("ascii")),
    ]
    return [*headers, (b"retry-after", b"1")] if status == 503 else headers


class Call:
    """What HTTP and WebSocket calls share: their place in a lane, credit, events."""

    __slots__ = ("client", "exchange", "lane", "stream", "queued", "since", "waited", "begun", "over", "running", "events",
                 "waiter", "credit", "earned", "room", "used", "watch", "gone")  # fmt: skip

    def __init__(self, client: LaneClient, exchange: Any) -> None:
        self.client = client
        self.exchange = exchange
        self.lane: Lane | None = None
        self.stream = 0
        # When it began to wait for a lane, and when the lane was last given something (loop time).
        self.queued = self.since = client.loop.time()
        self.waited = False
        self.begun = False
        self.over = False
        self.running = False
        self.events: deque[Event] | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.credit = wire.WINDOW
        self.earned: asyncio.Future[None] | None = None
        self.room = wire.WINDOW
        self.used = 0
        self.watch: asyncio.Task[None] | None = None
        self.gone = False

    # -- the lane

    def dispatch(self, lane: Lane) -> None:
        """Hand this call to ``lane``."""
        self.lane = lane
        if self.waited:
            self.since = self.client.loop.time()
        self.stream = lane.open(self, self.since - self.queued if self.waited else 0.0)
        try:
            lane.link.write(self.request())
        except Exception as exc:
            self.client.log_error("The request could not be handed to the gil lane\n", exc)
            self.fail(500)

    def request(self) -> bytes:
        """The REQUEST frame. Raises ValueError for one beyond the protocol's limits."""
        raise NotImplementedError

    def begin(self) -> None:
        """The lane has answered: its time no longer counts."""
        if not self.begun and self.lane is not None:
            self.begun = True
            self.lane.began(self.client.loop.time() - self.since)

    def finish(self) -> None:
        """Nothing more of this call concerns the lane."""
        if self.over:
            return
        self.over = True
        lane = self.lane
        if lane is None:
            self.client.forget(self)
        else:
            if not self.begun:
                self.begun = True
                lane.began(self.client.loop.time() - self.since)
            lane.calls.pop(self.stream, None)
        watch = self.watch
        if watch is not None:
            self.watch = None
            if watch is not asyncio.current_task(self.client.loop):
                watch.cancel()
        if self.earned is not None and not self.earned.done():
            self.earned.set_result(None)

    def reset(self) -> None:
        """Tell the lane that nobody waits for this call."""
        if not self.over:
            if self.lane is not None:
                self.lane.link.write(wire.frame(wire.RESET, 0, self.stream, b""))
            self.finish()

    def fail(self, status: int) -> None:
        """Answer with ``status``: the lane is lost (502), not to be had (503) or too slow (504)."""
        self.finish()
        self.push((REFUSED, 0, status))

    def on_frame(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == wire.CREDIT:
            self.credit += wire.decode_number(payload)
            if self.credit > 0 and self.earned is not None and not self.earned.done():
                self.earned.set_result(None)
            return
        if kind == wire.BODY or kind == wire.MESSAGE:
            if self.room <= 0:
                raise wire.ProtocolError(f"stream {self.stream} had no credit left")
            self.room -= len(payload) + wire.HEADER_SIZE
        if kind == wire.RESPONSE or kind == wire.ACCEPT:
            if self.begun:
                raise wire.ProtocolError(f"stream {self.stream} has two responses")
            self.begin()
        self.push((kind, flags, payload))

    # -- the exchange's task

    def push(self, event: Event) -> None:
        if self.events is None:
            self.events = deque()
        self.events.append(event)
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def next_event(self) -> Event | None:
        """What the lane sent next; None when the client is gone."""
        while not self.events:
            if self.gone:
                return None
            self.waiter = self.client.loop.create_future()
            await self.waiter
            self.waiter = None
        return self.events.popleft()

    def leave(self) -> None:
        """The client is gone."""
        self.gone = True
        self.reset()
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def send_payload(self, kind: int, flags: int, data: bytes) -> None:
        """Send a payload of any size to the lane, as its credit allows."""
        loop = self.client.loop
        for start in range(0, len(data) or 1, wire.MAX_CHUNK):
            while self.credit <= 0 and not self.over:
                self.earned = loop.create_future()
                await self.earned
                self.earned = None
            if self.over or self.lane is None:
                return
            self.since = loop.time()
            chunk = data if len(data) <= wire.MAX_CHUNK else data[start : start + wire.MAX_CHUNK]
            last = start + wire.MAX_CHUNK >= len(data)
            self.credit -= len(chunk) + wire.HEADER_SIZE
            kept = flags if last else flags & ~wire.END
            link = self.lane.link
            if len(chunk) <= COPY:
                link.write(wire.frame(kind, kept, self.stream, chunk))
            else:
                link.write(wire.frame_head(kind, kept, self.stream, len(chunk)))
                link.write(chunk)

    def take(self, size: int) -> None:
        """The client was sent ``size`` bytes: let the lane send more."""
        self.used += size
        if self.used > wire.WINDOW // 4 and not self.over and self.lane is not None:
            self.lane.link.write(wire.number_frame(wire.CREDIT, self.stream, self.used))
            self.room += self.used
            self.used = 0


class HTTPCall(Call):
    """One request."""

    __slots__ = ("body", "more")

    def __init__(self, client: LaneClient, exchange: Any) -> None:
        super().__init__(client, exchange)
        self.body = b""
        self.more = False

    def start(self) -> None:
        """Begin, on the loop's thread."""
        if wire.has_body(self.exchange.scope):
            self.run_exchange()
        else:
            self.client.submit(self)

    def request(self) -> bytes:
        inline = len(self.body) <= wire.MAX_INLINE
        return wire.encode_request(
            self.stream, self.exchange.scope, self.body if inline else b"", inline and not self.more
        )

    def dispatch(self, lane: Lane) -> None:
        super().dispatch(lane)
        body, self.body = self.body, b""
        inline = len(body) <= wire.MAX_INLINE
        if not self.over and (self.more or not inline):
            self.watch = self.client.loop.create_task(self.upload(b"" if inline else body))

    def run_exchange(self) -> None:
        self.running = True
        self.exchange.app = self
        self.exchange.start(self.client.context())

    def on_frame(self, kind: int, flags: int, payload: bytes) -> None:
        if self.running or kind != wire.RESPONSE or not flags & wire.END:
            super().on_frame(kind, flags, payload)
            if not self.running and not self.gone and self.events:
                self.run_exchange()
            return
        self.finish()
        status, headers, body = wire.decode_response(payload)
        if not self.exchange.respond_now(status, headers, body):
            self.push((kind, flags, payload))
            self.run_exchange()

    def fail(self, status: int) -> None:
        if self.running:
            super().fail(status)
        else:
            self.finish()
            if status == 500:
                self.exchange.fail()
            else:
                self.exchange.respond_now(status, error_headers(status), PHRASES[status])

    # -- what the client sends

    async def upload(self, data: bytes) -> None:
        """Send the rest of the body, then wait for the client to leave."""
        receive = self.exchange.receive
        more = self.more
        while True:
            if data or not more:
                await self.send_payload(wire.BODY, 0 if more else wire.END, data)
            if not more:
                break
            message = await receive()
            if message["type"] == "http.disconnect":
                self.leave()
                return
            data, more = message["body"], message["more_body"]
        await self.wait_for_disconnect()

    async def wait_for_disconnect(self) -> None:
        while (await self.exchange.receive())["type"] != "http.disconnect":
            pass
        if not self.over:
            self.leave()

    def look_for_disconnect(self) -> None:
        """Watch the client of a call that takes longer than most."""
        if self.watch is None and not self.over and not self.more and self.lane is not None:
            self.watch = self.client.loop.create_task(self.wait_for_disconnect())

    # -- what the lane sends

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI app of an exchange that is more than one frame each way."""
        try:
            if self.lane is None and not self.over:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                self.body, self.more = message["body"], message["more_body"]
                self.client.submit(self)
            await self.deliver(send)
        finally:
            self.reset()

    async def deliver(self, send: Any) -> None:
        started = False
        while (event := await self.next_event()) is not None:
            kind, flags, payload = event
            if kind == wire.BODY:
                if not started:
                    raise wire.ProtocolError("a body before its response")
                await send({"type": "http.response.body", "body": payload, "more_body": not flags & wire.END})
                self.take(len(payload) + wire.HEADER_SIZE)
                if flags & wire.END:
                    return self.finish()
            elif kind == wire.RESPONSE:
                status, headers, body = wire.decode_response(payload)
                if flags & wire.SOON and not self.events and not self.over:
                    following = await self.next_event()
                    if following is None:
                        return
                    assert self.events is not None
                    self.events.appendleft(following)
                await send({"type": "http.response.start", "status": status, "headers": headers})
                started = True
                if body or flags & wire.END:
                    await send({"type": "http.response.body", "body": body, "more_body": not flags & wire.END})
                if flags & wire.END:
                    return self.finish()
            elif started:
                # The lane gave up on it, or was lost: the client must not take it for whole.
                self.finish()
                self.exchange.cut()
                return
            else:
                self.finish()
                await self.answer(send, payload if kind == REFUSED else 502)
                return

    async def answer(self, send: Any, status: int) -> None:
        if status == 500:
            self.exchange.fail()
            return
        await send({"type": "http.response.start", "status": status, "headers": error_headers(status)})
        await send({"type": "http.response.body", "body": PHRASES[status]})


class WebSocketCall(Call):
    """One WebSocket."""

    __slots__ = ()

    def start(self) -> None:
        self.running = True
        self.exchange.app = self
        self.exchange.start(self.client.context())

    def request(self) -> bytes:
        return wire.encode_request(self.stream, self.exchange.scope, b"", False)

    def dispatch(self, lane: Lane) -> None:
        super().dispatch(lane)
        if not self.over:
            self.watch = self.client.loop.create_task(self.upload())

    def look_for_disconnect(self) -> None:
        pass

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()  # websocket.connect
            self.client.submit(self)
            await self.deliver(send)
        finally:
            self.reset()

    async def upload(self) -> None:
        """Send what the client sends, until it leaves."""
        while not self.over:
            event = await self.exchange.receive()
            if event["type"] == "websocket.disconnect":
                if not self.over and self.lane is not None:
                    code, reason = event.get("code", 1005), event.get("reason") or ""
                    self.lane.link.write(wire.close_frame(self.stream, code, reason))
                self.finish()
                self.leave()
                return
            text, data = event.get("text"), event.get("bytes")
            flags = wire.END if data is not None else wire.END | wire.TEXT
            payload = data if data is not None else text.encode()
            if len(payload) > wire.MAX_MESSAGE:
                self.reset()
                await self.exchange.send({"type": "websocket.close", "code": 1009})
                return
            await self.send_payload(wire.MESSAGE, flags, payload)

    async def deliver(self, send: Any) -> None:
        parts: list[bytes] = []
        denial: tuple[int, Any] | None = None
        body = b""
        while (event := await self.next_event()) is not None:
            kind, flags, payload = event
            if kind == wire.MESSAGE:
                self.take(len(payload) + wire.HEADER_SIZE)
                whole = wire.join_message(parts, flags, payload)
                if whole is not None:
                    key = "text" if flags & wire.TEXT else "bytes"
                    await send({"type": "websocket.send", key: whole.decode() if flags & wire.TEXT else whole})
            elif kind == wire.ACCEPT:
                subprotocol, headers = wire.decode_accept(payload)
                await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})
            elif kind == wire.CLOSE:
                code, reason = wire.decode_close(payload)
                self.finish()
                await send({"type": "websocket.close", "code": code, "reason": reason})
                return
            elif kind == wire.RESPONSE or kind == wire.BODY and denial is not None:
                if kind == wire.RESPONSE:
                    status, headers, body = wire.decode_response(payload)
                    denial = status, headers
                else:
                    self.take(len(payload) + wire.HEADER_SIZE)
                    body += payload
                if flags & wire.END:
                    self.finish()
                    await self.deny(send, denial, body)
                    return
            else:
                self.finish()
                await self.lose(send, payload if kind == REFUSED else 502)
                return

    async def deny(self, send: Any, denial: tuple[int, Any] | None, body: bytes) -> None:
        assert denial is not None
        status, headers = denial
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})

    async def lose(self, send: Any, status: int) -> None:
        exchange = self.exchange
        if exchange.connecting:
            await exchange.refuse(status, PHRASES[status])
        elif status != 502 or self.lane is not None and not self.lane.alive:
            await send({"type": "websocket.close", "code": 1011, "reason": ""})
        # Else the app left without closing, and so does the exchange.
