# cython: language_level=3, freethreading_compatible=True
"""One worker's connection to a lane process, and what all calls over it share.

Frames: fastcore/lane/protocol.pyx. The two kinds of call: fastcore/lane/calls.pyx.
"""
import asyncio
from collections import deque

from freelane.fastcore.lane import decoder, protocol
from freelane.fastcore.lane.turn import Turn

from freelane.fastcore.lane.transport cimport Link
from freelane.fastcore.lane.protocol cimport frame, frame_head

cdef int READY = protocol.READY
cdef int FAILED = protocol.FAILED
cdef int RESPONSE = protocol.RESPONSE
cdef int BODY = protocol.BODY
cdef int ACCEPT = protocol.ACCEPT
cdef int MESSAGE = protocol.MESSAGE
cdef int CREDIT = protocol.CREDIT
cdef int RESET = protocol.RESET
cdef int PONG = protocol.PONG
cdef int SCOPE = protocol.SCOPE
cdef int RAISED = protocol.RAISED
cdef int END = protocol.END
cdef Py_ssize_t WINDOW = protocol.WINDOW
cdef Py_ssize_t MAX_CHUNK = protocol.MAX_CHUNK
cdef Py_ssize_t HEADER_SIZE = protocol.HEADER_SIZE

# A client is watched when its call takes longer than this, and a lane process is asked for a
# sign of life so often (seconds).
cdef double LONG = 0.1
PING = 1.0

# Kinds of events that come from this process and not from the lane: the payload is a status, or
# what a layer's own `receive` raised.
REFUSED = 0
BROKEN = -1
COPY = 1 << 14


cdef class Load:
    """What one worker knows of one lane process: requests, and seconds. Any thread may read it."""


cdef class Lane:
    """One worker's connection to one lane process. Belongs to the loop's thread."""

    def __cinit__(self, client, process, sock):
        self.client = client
        self.process = process
        self.load = process.loads[client.index]
        self.calls = {}
        self.last = 0
        self.busy = 0
        self.ready = False
        self.alive = True
        self.pinged = None
        self.link = Link(client.loop, sock, protocol.FROM_LANE, self.on_frame, self.on_closed)

    @property
    def free(self):
        process = self.process
        # One that was killed may not be gone yet.
        return self.ready and self.busy < self.client.limit and not process.retired and not process.reason

    cdef unsigned int open(self, Call call, double waited) except 0:
        """Give ``call`` a stream of this lane; returns its number."""
        self.last += 1
        self.calls[self.last] = call
        self.busy += 1
        cdef Load load = self.load
        load.busy += 1
        load.requests += 1
        if waited:
            load.waited += waited
        if self.client.counted:
            self.process.count()
        return self.last

    cdef object began(self, double worked):
        """A call has its answer, or the beginning of it."""
        self.busy -= 1
        cdef Load load = self.load
        load.busy -= 1
        load.worked += worked
        if self.client.queue:
            self.client.loop.call_soon(self.client.serve_queue)

    def on_frame(self, int kind, int flags, unsigned int stream, bytes payload):
        if stream:
            call = self.calls.get(stream)
            if call is not None:
                (<Call>call).on_frame(kind, flags, payload)
            elif stream > self.last:
                raise protocol.ProtocolError(f"stream {stream} never began")
        elif kind == READY:
            self.ready = True
            self.process.on_ready()
            self.client.failure = None
            self.client.serve_queue()
        elif kind == FAILED:
            self.process.on_failed(payload.decode("utf-8", "replace"))
        elif kind == PONG:
            self.pinged = None
        else:
            raise protocol.ProtocolError(f"a frame of kind {kind} without a stream")

    def on_closed(self, error):
        """The process is gone, or cannot be understood any more: what it had is lost."""
        self.alive = self.ready = False
        if error is not None:
            self.process.kill(f"its connection broke: {error}")
        calls = list(self.calls.values())
        self.process.lost += len(calls)
        self.client.lanes.remove(self)
        for call in calls:
            call.fail(self.process.loss_status(call))
        self.client.serve_queue()

    def sweep(self, now):
        """Look for calls that take too long, and for clients that left."""
        timeout = self.client.timeout
        for call in list(self.calls.values()):
            age = now - call.since
            if not call.begun and age > timeout:
                route = call.exchange.scope["path"]
                self.process.kill(f"{route} took longer than --gil-timeout {timeout:g}")
                call.fail(504)
            elif age > LONG:
                call.look_for_disconnect()

    def ping(self, now):
        """End a process that does nothing any more, for a background task that never returns."""
        if self.pinged is None:
            self.pinged = now
            self.link.write(protocol.number_frame(protocol.PING, 0, 0))
        elif now - self.pinged > self.client.timeout + PING:
            self.process.kill(f"it was busy for longer than --gil-timeout {self.client.timeout:g}")


cdef class Call:
    """What HTTP and WebSocket calls share: their place in a lane, credit, events."""

    def __cinit__(self, client, exchange):
        self.client = client
        self.exchange = exchange
        self.turn = exchange if isinstance(exchange, Turn) else None
        self.lane = None
        self.stream = 0
        # When it began to wait for a lane, and when the lane was last given something (loop time).
        self.queued = self.since = client.loop.time()
        self.waited = False
        self.begun = False
        self.over = False
        self.running = False
        self.events = None
        self.waiter = None
        self.credit = WINDOW
        self.earned = None
        self.room = WINDOW
        self.used = 0
        self.watch = None
        self.gone = False

    # -- the lane

    cpdef object dispatch(self, Lane lane):
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

    cpdef bytes request(self):
        """The REQUEST frame. Raises ValueError for one beyond the protocol's limits."""
        raise NotImplementedError

    cdef object begin(self):
        # The lane has answered: its time no longer counts.
        if not self.begun and self.lane is not None:
            self.begun = True
            self.lane.began(self.client.loop.time() - self.since)

    cpdef object finish(self):
        """Nothing more of this call concerns the lane."""
        cdef Lane lane
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

    cpdef object reset(self):
        """Tell the lane that nobody waits for this call."""
        if not self.over:
            if self.lane is not None:
                self.lane.link.write(frame(RESET, 0, self.stream, b""))
            self.finish()

    cpdef object fail(self, int status):
        """Answer with ``status``: the lane is lost (502), not to be had (503) or too slow (504)."""
        self.finish()
        self.push((REFUSED, 0, status))

    cpdef object on_frame(self, int kind, int flags, bytes payload):
        if kind == CREDIT:
            self.credit += decoder.decode_number(payload)
            if self.credit > 0 and self.earned is not None and not self.earned.done():
                self.earned.set_result(None)
            return
        if kind == BODY or kind == MESSAGE:
            if self.room <= 0:
                raise protocol.ProtocolError(f"stream {self.stream} had no credit left")
            self.room -= len(payload) + HEADER_SIZE
        if (kind == SCOPE or kind == RAISED) and self.turn is None:
            raise protocol.ProtocolError(f"stream {self.stream} is no route's turn")
        if kind == RESPONSE or kind == ACCEPT:
            if self.begun:
                raise protocol.ProtocolError(f"stream {self.stream} has two responses")
            self.begin()
        self.push((kind, flags, payload))

    # -- the exchange's task

    cpdef object push(self, tuple event):
        if self.events is None:
            self.events = deque()
        self.events.append(event)
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def take_turn(self):
        """Answer in the place of a route, in the task that has come to it."""
        self.running = True
        await self.run(self.turn.scope, self.turn.receive, self.turn.send)

    async def next_event(self):
        """What the lane sent next; None when the client is gone, or a route returned. Raises what a route raised."""
        while True:
            while not self.events:
                if self.gone:
                    return None
                self.waiter = self.client.loop.create_future()
                await self.waiter
                self.waiter = None
            event = self.events.popleft()
            if event[0] == SCOPE:
                self.turn.changed(event[2])
            elif event[0] == BROKEN:
                self.reset()
                raise event[2]
            elif event[0] == RAISED:
                self.finish()
                error = self.turn.error(event[2])
                if error is not None:
                    raise error
                return None
            else:
                return event

    def leave(self):
        """The client is gone."""
        self.gone = True
        self.reset()
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def send_payload(self, kind, flags, data):
        """Send a payload of any size to the lane, as its credit allows."""
        loop = self.client.loop
        for start in range(0, len(data) or 1, MAX_CHUNK):
            while self.credit <= 0 and not self.over:
                self.earned = loop.create_future()
                await self.earned
                self.earned = None
            if self.over or self.lane is None:
                return
            self.since = loop.time()
            chunk = data if len(data) <= MAX_CHUNK else data[start : start + MAX_CHUNK]
            last = start + MAX_CHUNK >= len(data)
            self.credit -= len(chunk) + HEADER_SIZE
            kept = flags if last else flags & ~END
            link = self.lane.link
            if len(chunk) <= COPY:
                link.write(frame(kind, kept, self.stream, chunk))
            else:
                link.write(frame_head(kind, kept, self.stream, len(chunk)))
                link.write(chunk)

    cpdef object take(self, Py_ssize_t size):
        """The client was sent ``size`` bytes: let the lane send more."""
        self.used += size
        if self.used > WINDOW // 4 and not self.over and self.lane is not None:
            self.lane.link.write(protocol.number_frame(CREDIT, self.stream, self.used))
            self.room += self.used
            self.used = 0
