# cython: language_level=3, freethreading_compatible=True
"""One worker's requests and WebSockets in a lane process.

A call belongs to the thread of its worker's loop. A request without a body whose whole
response comes in one frame costs no task; any other is run by its exchange's own task, as an
ASGI app that speaks to the lane. Frames: fastcore/lane/protocol.pyx.
"""
from freelane.fastcore.lane import decoder, protocol
from freelane.fastcore.lane.client import BROKEN, REFUSED

from freelane.fastcore.lane.client cimport Lane
from freelane.fastcore.lane.decoder cimport decode_response
from freelane.fastcore.lane.protocol cimport encode_request, encode_route, has_body

cdef int RESPONSE = protocol.RESPONSE
cdef int BODY = protocol.BODY
cdef int ACCEPT = protocol.ACCEPT
cdef int MESSAGE = protocol.MESSAGE
cdef int CLOSE = protocol.CLOSE
cdef int END = protocol.END
cdef int TEXT = protocol.TEXT
cdef int SOON = protocol.SOON
cdef Py_ssize_t MAX_INLINE = protocol.MAX_INLINE
cdef Py_ssize_t HEADER_SIZE = protocol.HEADER_SIZE

PHRASES = {500: b"Internal Server Error", 502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout"}


def error_headers(status):
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(PHRASES[status])).encode("ascii")),
    ]
    return [*headers, (b"retry-after", b"1")] if status == 503 else headers


cdef class HTTPCall(Call):
    """One request."""

    def __cinit__(self, client, exchange):
        self.body = b""
        self.more = False

    def start(self):
        """Begin, on the loop's thread."""
        if has_body(self.exchange.scope):
            self.run_exchange()
        else:
            self.client.submit(self)

    cpdef bytes request(self):
        inline = len(self.body) <= MAX_INLINE
        body, end = self.body if inline else b"", inline and not self.more
        if self.turn is not None:
            return encode_route(self.stream, self.turn.number, self.turn.packed, body, end)
        return encode_request(self.stream, self.exchange.scope, body, end)

    cpdef object dispatch(self, Lane lane):
        Call.dispatch(self, lane)
        body, self.body = self.body, b""
        inline = len(body) <= MAX_INLINE
        if not self.over and (self.more or not inline):
            self.watch = self.client.loop.create_task(self.upload(b"" if inline else body))

    def run_exchange(self):
        self.running = True
        self.exchange.app = self.run
        self.exchange.start(self.client.context())

    cpdef object on_frame(self, int kind, int flags, bytes payload):
        if self.running or kind != RESPONSE or not flags & END:
            Call.on_frame(self, kind, flags, payload)
            if not self.running and not self.gone and self.events:
                self.run_exchange()
            return
        self.finish()
        status, headers, body = decode_response(payload)
        if not self.exchange.respond_now(status, headers, body):
            self.push((kind, flags, payload))
            self.run_exchange()

    cpdef object fail(self, int status):
        if self.running:
            Call.fail(self, status)
        else:
            self.finish()
            if status == 500:
                self.exchange.fail()
            else:
                self.exchange.respond_now(status, error_headers(status), PHRASES[status])

    # -- what the client sends

    async def upload(self, data):
        """Send the rest of the body, then wait for the client to leave."""
        more = self.more
        while True:
            if data or not more:
                await self.send_payload(BODY, 0 if more else END, data)
            if not more:
                break
            try:
                message = await self.exchange.receive()
            except Exception as exc:
                if self.turn is None:
                    raise
                self.push((BROKEN, 0, exc))
                return
            if message["type"] == "http.disconnect":
                self.leave()
                return
            data, more = message.get("body", b""), message.get("more_body", False)
        await self.wait_for_disconnect()

    async def wait_for_disconnect(self):
        while (await self.exchange.receive())["type"] != "http.disconnect":
            pass
        if not self.over:
            self.leave()

    def look_for_disconnect(self):
        """Watch the client of a call that takes longer than most."""
        if self.watch is None and not self.over and not self.more and self.lane is not None:
            self.watch = self.client.loop.create_task(self.wait_for_disconnect())

    # -- what the lane sends

    async def run(self, scope, receive, send):
        """The ASGI app of an exchange that is more than one frame each way."""
        try:
            if self.lane is None and not self.over:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                self.body, self.more = message.get("body", b""), message.get("more_body", False)
                self.client.submit(self)
            await self.deliver(send)
        finally:
            self.reset()

    async def deliver(self, send):
        started = False
        while (event := await self.next_event()) is not None:
            kind, flags, payload = event
            if kind == BODY:
                if not started:
                    raise protocol.ProtocolError("a body before its response")
                await send({"type": "http.response.body", "body": payload, "more_body": not flags & END})
                self.take(len(payload) + HEADER_SIZE)
                if flags & END:
                    self.finish()
                    return
            elif kind == RESPONSE:
                status, headers, body = decode_response(payload)
                if flags & SOON and not self.events and not self.over:
                    following = await self.next_event()
                    if following is None:
                        return
                    assert self.events is not None
                    self.events.appendleft(following)
                await send({"type": "http.response.start", "status": status, "headers": headers})
                started = True
                if body or flags & END:
                    await send({"type": "http.response.body", "body": body, "more_body": not flags & END})
                if flags & END:
                    self.finish()
                    return
            elif started:
                # The lane gave up on it, or was lost: the client must not take it for whole.
                self.finish()
                self.exchange.cut()
                return
            else:
                self.finish()
                await self.answer(send, payload if kind == REFUSED else 502)
                return

    async def answer(self, send, status):
        if status == 500:
            self.exchange.fail()
            return
        await send({"type": "http.response.start", "status": status, "headers": error_headers(status)})
        await send({"type": "http.response.body", "body": PHRASES[status]})


cdef class WebSocketCall(Call):
    """One WebSocket."""

    def start(self):
        self.running = True
        self.exchange.app = self.run
        self.exchange.start(self.client.context())

    cpdef bytes request(self):
        if self.turn is not None:
            return encode_route(self.stream, self.turn.number, self.turn.packed, b"", False)
        return encode_request(self.stream, self.exchange.scope, b"", False)

    cpdef object dispatch(self, Lane lane):
        Call.dispatch(self, lane)
        if not self.over:
            self.watch = self.client.loop.create_task(self.upload())

    def look_for_disconnect(self):
        pass

    async def run(self, scope, receive, send):
        try:
            await receive()  # websocket.connect
            self.client.submit(self)
            await self.deliver(send)
        finally:
            self.reset()

    async def upload(self):
        """Send what the client sends, until it leaves."""
        while not self.over:
            event = await self.exchange.receive()
            if event["type"] == "websocket.disconnect":
                if not self.over and self.lane is not None:
                    code, reason = event.get("code", 1005), event.get("reason") or ""
                    self.lane.link.write(protocol.close_frame(self.stream, code, reason))
                self.finish()
                self.leave()
                return
            text, data = event.get("text"), event.get("bytes")
            flags = END if data is not None else END | TEXT
            payload = data if data is not None else text.encode()
            if len(payload) > protocol.MAX_MESSAGE:
                self.reset()
                await self.exchange.send({"type": "websocket.close", "code": 1009})
                return
            await self.send_payload(MESSAGE, flags, payload)

    async def deliver(self, send):
        parts = []
        denial = None
        body = b""
        while (event := await self.next_event()) is not None:
            kind, flags, payload = event
            if kind == MESSAGE:
                self.take(len(payload) + HEADER_SIZE)
                whole = protocol.join_message(parts, flags, payload)
                if whole is not None:
                    key = "text" if flags & TEXT else "bytes"
                    await send({"type": "websocket.send", key: whole.decode() if flags & TEXT else whole})
            elif kind == ACCEPT:
                subprotocol, headers = decoder.decode_accept(payload)
                await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})
            elif kind == CLOSE:
                code, reason = decoder.decode_close(payload)
                self.finish()
                await send({"type": "websocket.close", "code": code, "reason": reason})
                return
            elif kind == RESPONSE or kind == BODY and denial is not None:
                if kind == RESPONSE:
                    status, headers, body = decode_response(payload)
                    denial = status, headers
                else:
                    self.take(len(payload) + HEADER_SIZE)
                    body += payload
                if flags & END:
                    self.finish()
                    await self.deny(send, denial, body)
                    return
            else:
                self.finish()
                await self.lose(send, payload if kind == REFUSED else 502)
                return

    async def deny(self, send, denial, body):
        assert denial is not None
        status, headers = denial
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})

    async def lose(self, send, status):
        exchange = self.exchange
        if exchange.connecting:
            await exchange.refuse(status, PHRASES[status])
        elif status != 502 or self.lane is not None and not self.lane.alive:
            await send({"type": "websocket.close", "code": 1011, "reason": ""})
        # Else the app left without closing, and so does the exchange.
