# cython: language_level=3, freethreading_compatible=True
"""In a lane process: the server's connections, and what the exchanges speak to on them.

Stands in the place of Granian's ASGI protocol. Frames: fastcore/lane/protocol.pyx.
"""
from collections import deque

from freelane.fastcore.lane import decoder, protocol
from freelane.fastcore.asgi.websocket import WebSocketExchange

from freelane.fastcore.asgi.http cimport HTTPExchange
from freelane.fastcore.lane.transport cimport Link
from freelane.fastcore.lane.protocol cimport encode_response, frame, frame_head

cdef int REQUEST = protocol.REQUEST
cdef int BODY = protocol.BODY
cdef int MESSAGE = protocol.MESSAGE
cdef int CLOSE = protocol.CLOSE
cdef int CREDIT = protocol.CREDIT
cdef int RESET = protocol.RESET
cdef int PING = protocol.PING
cdef int PONG = protocol.PONG
cdef int GOAWAY = protocol.GOAWAY
cdef int ROUTE = protocol.ROUTE
cdef int SCOPE = protocol.SCOPE
cdef int RAISED = protocol.RAISED
cdef int END = protocol.END
cdef int TEXT = protocol.TEXT
cdef Py_ssize_t WINDOW = protocol.WINDOW
cdef Py_ssize_t MAX_CHUNK = protocol.MAX_CHUNK
cdef Py_ssize_t MAX_INLINE = protocol.MAX_INLINE
cdef Py_ssize_t MAX_MESSAGE = protocol.MAX_MESSAGE
cdef Py_ssize_t HEADER_SIZE = protocol.HEADER_SIZE

# A payload above this is sent from where it is instead of being copied behind its head (bytes).
COPY = 1 << 14


cdef class Stream:
    """One stream of a connection: flow control both ways. Belongs to the loop's thread."""

    def __init__(self, dict streams, Link link, unsigned int id):
        self.streams = streams
        self.link = link
        self.id = id
        self.loop = link.loop
        self.credit = WINDOW
        self.outbox = None
        self.drained = None
        self.waiter = None
        self.lost = False
        # What the server may still send, and what the app took that it was not told of (bytes).
        self.room = WINDOW
        self.used = 0

    cpdef object finish(self):
        self.streams.pop(self.id, None)

    def finish_later(self, _):
        self.finish()

    def finish_soon(self):
        """Finish once all that is queued is sent."""
        if self.outbox:
            assert self.drained is None or not self.drained.done()
            self.drained = self.drained or self.loop.create_future()
            self.drained.add_done_callback(self.finish_later)
        else:
            self.finish()

    cpdef object reset(self):
        """End the stream unfinished."""
        if not self.lost and self.id in self.streams:
            self.link.write(frame(RESET, 0, self.id, b""))
            self.lose()

    cpdef object lose(self):
        """The server has no more use for this stream."""
        self.lost = True
        self.finish()
        self.outbox = None
        if self.drained is not None and not self.drained.done():
            self.drained.set_result(None)

    # -- for a route's turn

    @property
    def gone(self):
        """Whether the server has no more use for it."""
        return self.lost

    def change(self, bytes packed):
        """Tell the server what the route changed of its scope."""
        if not self.lost:
            self.link.write(frame(SCOPE, 0, self.id, packed))

    def leave(self, bytes packed):
        """End unfinished, with an exception or none."""
        if not self.lost:
            # After all that is queued.
            self.push(RAISED, 0, packed)
            self.finish_soon()

    def arrive(self, size):
        """The server sent ``size`` bytes. Raises ProtocolError where it had no credit."""
        if self.room <= 0:
            raise protocol.ProtocolError(f"stream {self.id} had no credit left")
        self.room -= size

    def take(self, size):
        """The app took ``size`` bytes: let the server send more."""
        self.used += size
        if self.used > WINDOW // 4 and not self.lost:
            self.link.write(protocol.number_frame(CREDIT, self.id, self.used))
            self.room += self.used
            self.used = 0

    def earn(self, size):
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

    def push(self, kind, flags, data):
        """Send, or queue, a payload of any size; returns what to wait for before the next one."""
        if self.lost:
            return None
        if len(data) <= MAX_CHUNK:
            self.push_chunk(kind, flags, data)
        else:
            view = memoryview(data)
            for start in range(0, len(data), MAX_CHUNK):
                chunk = bytes(view[start : start + MAX_CHUNK])
                last = start + MAX_CHUNK >= len(data)
                self.push_chunk(kind, flags if last else flags & ~END, chunk)
        if not self.outbox:
            return None
        if self.drained is None:
            self.drained = self.loop.create_future()
        return self.drained

    def push_chunk(self, kind, flags, data):
        if self.credit > 0 and not self.outbox:
            self.put(kind, flags, data)
        else:
            if self.outbox is None:
                self.outbox = deque()
            self.outbox.append((kind, flags, data))

    def put(self, kind, flags, data):
        self.credit -= len(data) + HEADER_SIZE
        if len(data) <= COPY:
            self.link.write(frame(kind, flags, self.id, data))
        else:
            self.link.write(frame_head(kind, flags, self.id, len(data)))
            self.link.write(data)

    def done_future(self, result=None):
        future = self.loop.create_future()
        future.set_result(result)
        return future


cdef class HTTPStream(Stream):
    """One request: ``receive`` and ``send`` as ``HTTPExchange`` calls them on Granian's ASGI protocol."""

    def __init__(self, streams, link, id, body, ended):
        Stream.__init__(self, streams, link, id)
        self.parts = None
        if body:
            # It comes with the request and uses no credit.
            self.parts = deque((body,))
            self.used -= len(body) + HEADER_SIZE
        self.body_ended = ended
        self.head = None
        # Of a response with a length, the bytes still to come; None without one.
        self.due = None

    def on_body(self, data, ended):
        self.arrive(len(data) + HEADER_SIZE)
        if data:
            if self.parts is None:
                self.parts = deque()
            self.parts.append(data)
        else:
            self.take(HEADER_SIZE)
        self.body_ended = ended
        if self.waiter is not None:
            waiter, self.waiter = self.waiter, None
            if not waiter.done():
                waiter.set_result(self.next_part())

    @property
    def at_end(self):
        """Whether all of the body has come and was taken."""
        return self.body_ended and not self.parts

    def next_part(self):
        data = b""
        if self.parts:
            data = self.parts.popleft()
            self.take(len(data) + HEADER_SIZE)
        return {"type": "http.request", "body": data, "more_body": bool(self.parts) or not self.body_ended}

    def receive(self):
        if self.parts:
            return self.done_future(self.next_part())
        if self.lost or self.id not in self.streams:
            return self.done_future({"type": "http.disconnect"})
        waiter = self.waiter = self.loop.create_future()
        return waiter

    cpdef object lose(self):
        Stream.lose(self)
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result({"type": "http.disconnect"})

    def send(self, message):
        if self.lost:
            return None
        if message["type"] == "http.response.start":
            self.head = message["status"], message["headers"]
            return None
        data = message["body"]
        ended = not message["more_body"]
        if ended and self.id in self.streams:
            # What is queued still counts as this stream's until it is sent.
            pending = self.send_body(data, True)
            if pending is None:
                self.finish()
            else:
                pending.add_done_callback(self.finish_later)
            return pending
        return self.send_body(data, ended)

    def send_body(self, data, ended):
        flags = END if ended else 0
        if self.head is not None:
            status, headers = self.head
            self.head = None
            if len(data) <= MAX_INLINE:
                self.link.write(encode_response(self.id, status, headers, data, ended))
                if not ended:
                    self.count(headers, len(data))
                return None
            head = encode_response(self.id, status, headers, b"", False)
            self.link.write(protocol.soon(head) if ended else head)
            self.count(headers, len(data))
        elif self.due is not None:
            self.due -= len(data)
            if ended and self.due > 0:
                # Shorter than it said: the client must not take it for whole.
                self.reset()
                return None
        if data or ended:
            return self.push(BODY, flags, data)
        return None

    def count(self, list headers, Py_ssize_t sent):
        if self.passes_on:
            return
        for name, value in headers:
            if name == b"content-length":
                self.due = int(value) - sent


cdef class WebSocketStream(Stream):
    """One WebSocket, as ``WebSocketExchange`` uses Granian's ASGI protocol; also its ``watcher``."""

    def __init__(self, streams, link, id):
        Stream.__init__(self, streams, link, id)
        # Events, with the bytes that the app takes by receiving one.
        self.messages = deque([({"type": "websocket.connect"}, 0)])
        self.parts = []
        self.accepted = False
        self.answered = False
        self.denial = None

    def on_message(self, flags, data):
        size = len(data) + HEADER_SIZE
        self.arrive(size)
        whole = protocol.join_message(self.parts, flags, data)
        if whole is None:
            self.take(size)
            return
        key = "text" if flags & TEXT else "bytes"
        self.deliver({"type": "websocket.receive", key: whole.decode() if flags & TEXT else whole}, size)

    def on_close(self, code, reason):
        self.lost = True
        self.finish()
        self.deliver({"type": "websocket.disconnect", "code": code, "reason": reason}, 0)

    def deliver(self, event, size):
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            self.take(size)
            waiter.set_result(event)
        else:
            self.messages.append((event, size))

    def receive(self):
        if self.messages:
            event, size = self.messages.popleft()
            self.take(size)
            return self.done_future(event)
        waiter = self.waiter = self.loop.create_future()
        return waiter

    cpdef object lose(self):
        Stream.lose(self)
        self.deliver({"type": "websocket.disconnect", "code": 1006, "reason": ""}, 0)

    def send(self, event):
        kind = event["type"]
        if self.lost:
            return self.done_future()
        if kind == "websocket.accept":
            self.accepted = True
            self.link.write(protocol.encode_accept(self.id, event.get("subprotocol"), event.get("headers") or []))
        elif kind == "websocket.send":
            text, data = event.get("text"), event.get("bytes")
            payload = data if data is not None else text.encode()
            if len(payload) > MAX_MESSAGE:
                raise RuntimeError(f"A WebSocket message of {len(payload)} bytes is more than the gil lane carries.")
            flags = END if data is not None else END | TEXT
            return self.push(MESSAGE, flags, payload) or self.done_future()
        elif kind == "websocket.close":
            self.answered = True
            self.push(CLOSE, 0, protocol.close_payload(event.get("code", 1000), event.get("reason") or ""))
            self.finish_soon()
        elif kind == "websocket.http.response.start":
            self.denial = event["status"], event["headers"]
        else:
            status, headers = self.denial
            self.answered = True
            body = event["body"]
            inline = len(body) <= MAX_INLINE
            self.link.write(encode_response(self.id, status, headers, body if inline else b"", inline))
            if not inline:
                self.push(BODY, END, body)
            self.finish_soon()
        return self.done_future()

    def done(self):
        """The exchange is over; Granian would answer 403 where nothing was sent."""
        if not self.accepted and not self.answered and not self.lost:
            self.answered = True
            self.link.write(protocol.close_frame(self.id, 1000, ""))
            self.finish()


cdef class Connection:
    """The streams of one connection, from one worker of the server."""

    def __init__(self, process, sock):
        self.process = process
        self.streams = {}
        self.last = 0
        self.leaving = False
        self.link = Link(process.loop, sock, protocol.FROM_SERVER, self.on_frame, self.on_closed)

    def on_frame(self, int kind, int flags, unsigned int id, bytes payload):
        if kind == REQUEST:
            self.begin(flags, id, payload)
        elif kind == ROUTE:
            self.begin_route(flags, id, payload)
        elif id:
            stream = self.streams.get(id)
            if stream is not None:
                self.on_stream_frame(stream, kind, flags, payload)
        elif kind == PING:
            self.link.write(protocol.number_frame(PONG, 0, decoder.decode_number(payload)))
        elif kind == GOAWAY:
            self.leaving = True
            self.process.leave()

    def on_stream_frame(self, stream, kind, flags, payload):
        if kind == CREDIT:
            stream.earn(decoder.decode_number(payload))
        elif kind == RESET:
            stream.lose()
        elif kind == BODY and isinstance(stream, HTTPStream):
            stream.on_body(payload, bool(flags & END))
        elif kind == MESSAGE and isinstance(stream, WebSocketStream):
            stream.on_message(flags, payload)
        elif kind == CLOSE and isinstance(stream, WebSocketStream):
            stream.on_close(*decoder.decode_close(payload))
        else:
            raise protocol.ProtocolError(f"a frame of kind {kind} on a stream of another kind")

    def begin(self, flags, id, payload):
        gateway = self.process.gateway
        scope = {}
        self.take_number(id)
        body = decoder.decode_request(payload, scope, gateway.state)
        if scope["type"] == "http":
            stream = HTTPStream(self.streams, self.link, id, body, bool(flags & END))
            exchange = HTTPExchange(gateway, stream, scope, scope, stream)
            if self.process.way is not None:
                self.process.way.take(exchange)
        else:
            stream = WebSocketStream(self.streams, self.link, id)
            exchange = WebSocketExchange(gateway, stream, scope, scope, stream)
        exchange.watcher = stream
        self.streams[id] = stream
        exchange.start(gateway.context.copy())

    def begin_route(self, flags, id, payload):
        self.take_number(id)
        number, packed, body = decoder.decode_route(payload)
        try:
            scope, begin = self.process.open_route(number, packed)
        except Exception as exc:  # what was packed there cannot be unpacked here
            self.link.write(frame(RAISED, 0, id, self.process.parcels.pack_error(exc)))
            return
        if scope["type"] == "http":
            stream = HTTPStream(self.streams, self.link, id, body, bool(flags & END))
            stream.passes_on = True
        else:
            stream = WebSocketStream(self.streams, self.link, id)
        self.streams[id] = stream
        begin(stream)

    def take_number(self, id):
        if id <= self.last:
            raise protocol.ProtocolError(f"stream {id} began before")
        self.last = id

    @property
    def busy(self):
        """Whether something is still to be sent, or may be."""
        return not self.link.closed and bool(self.streams or not self.link.idle)

    def on_closed(self, error):
        if error is not None:
            self.process.gateway.log_error(f"the server's connection broke: {error}", None)
        self.leaving = True
        for stream in list(self.streams.values()):
            stream.lose()
        self.process.leave()
