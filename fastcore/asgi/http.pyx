# cython: language_level=3, freethreading_compatible=True
"""HTTP over ASGI 3 (asgi.readthedocs.io, HTTP message format) on Granian's RSGI or ASGI protocol.

The order of messages, and the errors for breaking it, are those of uvicorn, which is what
an unchanged app was tested with.
"""
import asyncio
import functools

from freelane.fastcore.asgi.headers cimport UNSAID, check_headers, check_status, take_framing, text_headers
from freelane.fastcore.asgi.loop_context cimport LoopContext
from freelane.fastcore.asgi.request_body cimport CUT, ENDED, UNOPENED
from freelane.fastcore.asgi.scope cimport split_address

cdef enum:
    # The response, as far as the app has got.
    IDLE = 0
    REFUSED = 1    # the app sent a start that no server could send
    HELD = 2       # the app sent its start; nothing is on the wire
    STREAMING = 3
    COMPLETE = 4   # nothing more goes to the client by this exchange

# What may follow each stage; `become` is the one place that changes it.
cdef int[5] FOLLOWING
FOLLOWING[IDLE] = 1 << IDLE | 1 << REFUSED | 1 << HELD | 1 << COMPLETE    # COMPLETE: the request is malformed
FOLLOWING[REFUSED] = 1 << IDLE | 1 << HELD | 1 << COMPLETE    # IDLE: the transport cannot carry it
FOLLOWING[HELD] = 1 << STREAMING | 1 << COMPLETE
FOLLOWING[STREAMING] = 1 << COMPLETE
FOLLOWING[COMPLETE] = 0

# A sender that is further ahead than this waits for the client (bytes).
cdef long long PACE_BYTES = 1 << 20

# What every answer has, in those that no observer sees, too: pairs of bytes, set before anything is served.
ALWAYS = []

cdef list ERROR_HEADERS = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"21"),
    (b"connection", b"close"),
]


def waker(waiter):
    """A callback that refers to ``waiter`` alone.

    Granian may keep it for good, and Python's collector does not see into Granian's awaitables: one that led
    back to the awaitable would never go.
    """
    def wake(_):
        if not waiter.done():
            waiter.set_result(None)
    return wake


cdef class HTTPExchange(RequestBody):
    """``receive`` and ``send`` for one request, and the task that runs the app with them."""

    def __cinit__(self, LoopContext gateway, object proto, object source, object scope, object peer=None):
        self.gateway = gateway
        self.peer = peer
        self.proto = proto
        self.source = source
        self.scope = scope
        self.app = gateway.app
        self.loop = gateway.loop
        self.rsgi = gateway.rsgi
        self.head = scope["method"] == "HEAD"
        self.body_stage = UNOPENED
        self.body_left = -1
        self.stage = IDLE
        self.stepping = False

    cdef int become(self, int stage) except -1:
        if not FOLLOWING[self.stage] >> stage & 1:
            raise RuntimeError(f"a response cannot go from stage {self.stage} to {stage}")
        self.stage = stage
        self.over = stage == COMPLETE
        return 0

    cpdef object start(self, object context):
        """Run the app in a task that takes its first step at once."""
        # While the first step runs, a start message need not arrange for its own flush.
        self.stepping = True
        self.task = asyncio.Task(self.run(), loop=self.loop, eager_start=True, context=context)
        self.stepping = False
        if self.stage == HELD:
            self.flush_held()

    async def run(self):
        """Call the app; answer for it when it fails."""
        cdef LoopContext gateway = self.gateway
        gateway.active.add(self)
        try:
            if self.answer is None:
                result = await self.app(self.scope, self.receive, self.send)
            else:
                result = self.answer(self)
                if result is not None:
                    result = await result
        except BaseException as exc:
            if not (self.overdue and isinstance(exc, asyncio.CancelledError)):
                gateway.log_error("Exception in ASGI application\n", exc)
            self.fail()
            if isinstance(exc, (SystemExit, KeyboardInterrupt)):
                raise
        else:
            if result is not None:
                gateway.log_error(f"ASGI callable should return None, but returned '{result}'.", None)
                self.cut()
            elif self.stage == IDLE and not self.disconnected:
                gateway.log_error("ASGI callable returned without starting response.", None)
                self.fail()
            elif self.stage != COMPLETE and not self.disconnected:
                gateway.log_error("ASGI callable returned without completing response.", None)
                self.cut()
        finally:
            # A stream ends when its transport goes, and a traceback may keep this object.
            self.stream = None
            self.end_watch()
            self.task = None
            self.watcher = None
            self.answer = None
            if self.reading is None:
                self.proto = None
            gateway.active.discard(self)

    cdef object break_body(self):
        # It is malformed or ended early: answer 400 at once and tell the app that nobody is there, as
        # uvicorn does. A client that is gone sees none of it.
        self.body_stage = CUT
        if self.disconnected or self.stage == COMPLETE:
            return None
        self.gateway.log_broken(self.scope, self.connection())
        if self.stage == STREAMING:
            self.cut()
        else:
            answer_now(self.proto, self.rsgi, 400, b"Invalid HTTP request received.")
            self.become(COMPLETE)
        self.disconnected = True
        self.wake()

    # -- send

    async def send(self, message):
        """Take one event. Raises RuntimeError for one out of order or a bad header."""
        cdef str kind
        cdef bytes body
        cdef object data
        if self.disconnected:
            return
        kind = message["type"]
        if self.stage == IDLE:
            if kind != "http.response.start":
                raise RuntimeError(f"Expected ASGI message 'http.response.start', but got '{kind}'.")
            # As under uvicorn, a start that cannot be sent is the only one all the same.
            self.become(REFUSED)
            self.accept_start(message["status"], message.get("headers", ()))
            self.start_response()
            return
        if self.stage == COMPLETE:
            raise RuntimeError(f"Unexpected ASGI message '{kind}' sent, after response already completed.")
        if kind != "http.response.body":
            raise RuntimeError(f"Expected ASGI message 'http.response.body', but got '{kind}'.")
        if self.stage == REFUSED:
            raise RuntimeError("The start of this response could not be sent.")
        data = message.get("body", b"")
        if data is None and not self.sized:
            data = b""  # which uvicorn sends, too
        body = data if type(data) is bytes else bytes(memoryview(data))
        if self.head:
            body = b""
            self.body_due = 0
        elif self.sized:
            if len(body) > self.body_due:
                raise RuntimeError("Response content longer than Content-Length")
            self.body_due -= len(body)
        if message.get("more_body", False):
            if self.stage == HELD:
                self.open_stream()
            if body:
                pending = self.write(body)
                if pending is not None:
                    await self.settle(pending)
                if self.unpaced > PACE_BYTES and not self.disconnected:
                    self.unpaced = 0
                    await self.gateway.drain(self.connection())
            return
        if self.sized and self.body_due != 0:
            if self.stage == HELD:
                self.open_stream()
            if body:
                self.write(body)
            raise RuntimeError("Response content shorter than Content-Length")
        if self.stage == HELD:
            self.respond(body)
        else:
            pending = self.write(body) if body else None
            if pending is not None:
                await self.settle(pending)
            self.finish()

    cdef object accept_start(self, object status, object headers):
        # Raises for what cannot be sent, and then has changed nothing.
        cdef int code = check_status(status)
        cdef list checked = check_headers(headers)
        cdef long long due = take_framing(checked)
        if self.rsgi:
            try:
                checked = text_headers(checked)
            except RuntimeError:
                self.become(IDLE)  # the transport's fault, not the app's: it is answered 500
                raise
        if code < 200:
            self.gateway.log_informational(self.scope, code)
        self.headers = checked
        self.status = code
        # What has no body by its status, and says nothing else, may not get one.
        self.sized = due >= 0 or due == UNSAID and (code == 204 or code == 304)
        self.body_due = due if due >= 0 else 0

    cdef object start_response(self):
        self.become(HELD)
        if self.gateway.observed:
            self.gateway.observe(self.scope, self.status, self.headers)
        if not self.stepping:
            self.loop.call_soon(self.flush_held)

    def flush_held(self):
        """Put the response's head on the wire if its body is not there yet."""
        if self.stage == HELD:
            self.open_stream()

    cdef object open_stream(self):
        cdef list headers = self.headers
        self.become(STREAMING)
        self.headers = None
        if self.rsgi:
            self.stream = self.proto.response_stream(self.status, headers)
        else:
            self.proto.send({"type": "http.response.start", "status": self.status, "headers": headers})
            self.proto.send({"type": "http.response.body", "body": b"", "more_body": True})

    cdef object write(self, bytes data):
        # Returns what must be awaited before the next chunk, or None.
        cdef object pending
        self.unpaced += len(data)
        if not self.rsgi:
            pending = self.proto.send({"type": "http.response.body", "body": data, "more_body": True})
            return pending if hasattr(pending, "add_done_callback") else None
        try:
            self.stream.send_bytes(data).__await__().__next__()
        except StopIteration:
            pass
        except BaseException:
            self.disconnected = True
            self.stream = None
            self.wake()
        return None

    async def settle(self, pending):
        """Wait for one of Granian's awaitables, whose loop may stand for ours."""
        waiter = self.loop.create_future()
        wake = waker(waiter)
        pending.add_done_callback(wake)
        if pending.done():
            wake(pending)
        await waiter

    cdef object finish(self):
        if self.stage == COMPLETE:  # it was cut off meanwhile
            return None
        self.become(COMPLETE)
        self.stream = None
        self.end_watch()
        if not self.rsgi:
            self.proto.send({"type": "http.response.body", "body": b"", "more_body": False})
        self.completed()

    def completed(self):
        self.wake()
        if self.body_stage < ENDED and self.reading is None and not self.disconnected:
            method = self.scope["method"]
            if method != "GET" and method != "HEAD":
                self.discard_body()

    cdef object respond(self, bytes body):
        # A whole response at once. Without a length uvicorn sends chunks, so a stream does.
        if not self.sized and not self.head:
            self.open_stream()
            if body:
                self.write(body)
            self.finish()
            return None
        self.become(COMPLETE)
        self.end_watch()
        if self.rsgi:
            if body:
                self.proto.response_bytes(self.status, self.headers, body)
            else:
                self.proto.response_empty(self.status, self.headers)
        else:
            self.proto.send({"type": "http.response.start", "status": self.status, "headers": self.headers})
            self.proto.send({"type": "http.response.body", "body": body, "more_body": False})
        self.headers = None
        self.completed()

    cpdef bint respond_now(self, object status, object headers, object body):
        """Send a whole response from a thread that has this exchange to itself.

        Returns False, with nothing sent, for one that the app's own path must send or refuse.
        """
        cdef bytes data = body if type(body) is bytes else bytes(body)
        if self.stage != IDLE or self.disconnected:
            return False
        if self.leaving is not None:
            left = self.leaving(self.scope, status, headers, data)
            if left is None:
                return False
            headers, data = left
        try:
            self.accept_start(status, headers)
        except BaseException:
            return False
        if not self.head and (not self.sized or self.body_due != len(data)):
            return False
        self.become(HELD)
        if self.gateway.observed:
            self.gateway.observe(self.scope, self.status, self.headers)
        self.respond(b"" if self.head else data)
        return True

    def expire(self):
        """Answer 504, or cut off what has begun, and cancel the app: its time is over. On the loop's thread."""
        if self.stage == COMPLETE or self.disconnected:
            return
        self.overdue = True
        if self.stage == IDLE or self.stage == REFUSED:
            if self.gateway.observed:
                self.gateway.observe(self.scope, 504, [])
            answer_now(self.proto, self.rsgi, 504, b"Gateway Timeout")
            self.become(COMPLETE)
        else:
            self.cut()
        self.disconnected = True
        self.wake()
        if self.task is not None:
            self.task.cancel()

    def drop_messages(self):
        """Send nothing more: the response is out, and what the app's layers still say of it is not for the client."""
        self.disconnected = True

    def fail(self):
        """Answer 500 if nothing was sent, else cut the response off."""
        if self.disconnected or self.stage == COMPLETE:
            return
        if self.stage != IDLE:
            self.cut()
            return
        self.accept_start(500, ERROR_HEADERS)
        self.start_response()
        self.body_due = 0
        self.respond(b"" if self.head else b"Internal Server Error")

    def cut(self):
        """End an unfinished response so that the client cannot take it for a whole one."""
        cdef bint breaks, whole
        if self.disconnected or self.stage == COMPLETE:
            return
        if self.stage == IDLE:
            self.fail()
            return
        # A sized response that ends early makes the server close; another one would look whole,
        # so its stream is kept until the connection is broken.
        breaks = self.gateway.breaks(self.scope)
        whole = not self.head and (not self.sized or not self.body_due)
        if self.stage == REFUSED or self.stage == HELD and whole and not breaks:
            # Nothing is on the wire yet.
            answer = functools.partial(answer_now, self.proto, self.rsgi, 500, b"Internal Server Error")
            if breaks:
                self.gateway.cut(self.connection(), answer)
            else:
                answer()
            self.become(COMPLETE)
            self.completed()
            return
        if self.stage == HELD:
            self.open_stream()
        self.become(COMPLETE)
        stream, self.stream = self.stream, None
        release = functools.partial(release_stream, self.proto, stream, self.rsgi)
        if whole or breaks:
            self.gateway.cut(self.connection(), release)
        else:
            release()
        self.completed()

    cdef object connection(self):
        return split_address(self.source.client) if self.rsgi else self.peer


cpdef answer_now(object proto, bint rsgi, int status, bytes body):
    """Answer with a line of text in the place of what could not be sent, or not be read."""
    headers = [
        *ALWAYS,
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    if rsgi:
        proto.response_bytes(status, text_headers(headers), body)
    else:
        proto.send({"type": "http.response.start", "status": status, "headers": headers})
        proto.send({"type": "http.response.body", "body": body, "more_body": False})


def release_stream(proto, stream, rsgi):
    """Let the server end a response; over RSGI dropping ``stream`` does."""
    if not rsgi:
        try:
            proto.send({"type": "http.response.body", "body": b"", "more_body": False})
        except RuntimeError:
            pass
