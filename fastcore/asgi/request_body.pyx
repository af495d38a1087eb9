# cython: language_level=3, freethreading_compatible=True
"""The request's body and the client's leaving, as ASGI's ``receive`` tells of them.

Over RSGI a body is an iterator of chunks, over Granian's ASGI worker events; either may end early.
"""
import asyncio


cdef class RequestBody:
    """``receive`` for one request; ``HTTPExchange`` is the other half."""

    cdef object break_body(self):
        """The body is malformed or ended early."""
        raise NotImplementedError

    async def receive(self):
        """The next event: ``http.request`` until the body ends, then ``http.disconnect``."""
        cdef object waiter
        while True:
            if self.disconnected or self.over:
                return {"type": "http.disconnect"}
            if self.body_stage == UNOPENED:
                self.open_body()
            if self.chunks:
                data = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
                self.chunks = None
                return {"type": "http.request", "body": data, "more_body": self.body_stage == OPEN}
            if self.body_stage == CUT:
                self.disconnected = True
                continue
            if self.body_stage == OPEN:
                if self.reading is None:
                    self.read_next()
                    continue
            elif self.watching is None:
                self.watch()
                continue
            waiter = self.loop.create_future()
            if self.waiters is None:
                self.waiters = []
            self.waiters.append(waiter)
            try:
                await waiter
            except BaseException:
                # Polls of is_disconnected() are cancelled, each of them.
                if self.waiters is not None and waiter in self.waiters:
                    self.waiters.remove(waiter)
                raise

    async def body(self):
        """The whole request body. Raises ConnectionError when the client goes away before its end."""
        cdef list parts = []
        cdef object message
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the client went away before the end of the body")
            if not message["more_body"] and not parts:
                return message["body"]
            parts.append(message["body"])
            if not message["more_body"]:
                return b"".join(parts)

    def take_body(self, bytes data):
        """Let the app receive a body that was read before this exchange began."""
        self.body_stage = ENDED
        self.chunks = [data]

    cdef object wake(self):
        cdef list waiters = self.waiters
        self.waiters = None
        if waiters is not None:
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    cdef object as_future(self, object awaitable):
        if not hasattr(awaitable, "add_done_callback"):
            return asyncio.ensure_future(awaitable, loop=self.loop)
        return awaitable

    cdef object open_body(self):
        cdef object headers, length
        self.body_stage = OPEN
        if not self.rsgi:
            headers = dict(self.source["headers"])
            length = headers.get(b"content-length")
            chunked = b"transfer-encoding" in headers
        else:
            headers = self.source.headers
            length = headers.get("content-length")
            chunked = "transfer-encoding" in headers
        if chunked:
            length = None  # RFC 9112, 6.3: it overrides Content-Length
        elif length is None and self.scope["http_version"] in ("1.0", "1.1"):
            length = "0"
        if length is not None and length.isdigit():
            self.body_left = int(length)
            if self.body_left == 0:
                self.body_stage = ENDED
                self.chunks = [b""]
                return None
        if self.rsgi:
            # The streaming form: the other one waits for the whole body, which a client
            # that waits for our answer first would never send.
            self.proto.__aiter__()

    def body_was_read(self):
        """Say that the request's body was taken from the protocol already."""
        self.body_stage = ENDED

    cdef object read_next(self):
        cdef object awaitable
        try:
            awaitable = self.proto.__anext__() if self.rsgi else self.proto.receive()
        except StopAsyncIteration:
            self.end_body()
            return None
        self.reading = awaitable = self.as_future(awaitable)
        awaitable.add_done_callback(self.on_read)
        # Granian may lose a callback added while the result arrives, so look once more;
        # a second call finds that nothing is being read.
        if awaitable.done():
            self.on_read(awaitable)

    def on_read(self, awaitable):
        if awaitable is not self.reading:
            return
        self.reading = None
        try:
            message = awaitable.result()
        except BaseException:
            self.break_body()
            return
        if self.over:
            # Nobody reads on, but a client that sends first and reads then must not hang.
            if message if self.rsgi else message.get("more_body", False):
                self.read_next()
            else:
                self.proto = None
            return
        if not self.rsgi:
            self.on_message(message)
        elif message:
            self.ambiguous_end = False
            self.add_chunk(message)
        elif self.body_left > 0:
            # RSGI's stream ends quietly when the client is cut off in mid-body.
            self.break_body()
        elif self.ambiguous_end:
            # A second empty chunk comes after trailers and after an error.
            if "trailer" in self.source.headers:
                self.end_body()
            else:
                self.break_body()
        else:
            # Empty means the end, trailers or an error; after the end the iterator stops.
            self.ambiguous_end = True
            self.read_next()
            if self.reading is not None:
                return
        self.wake()

    cdef object add_chunk(self, bytes data):
        if self.chunks is None:
            self.chunks = []
        self.chunks.append(data)
        if self.body_left >= 0:
            self.body_left -= len(data)
            if self.body_left <= 0:
                self.body_stage = ENDED

    cdef object end_body(self):
        if self.body_left > 0:
            self.break_body()
            return None
        self.body_stage = ENDED
        if self.chunks is None:
            self.chunks = [b""]

    cdef object on_message(self, dict message):
        if message["type"] == "http.disconnect":
            self.break_body()
        elif message["more_body"]:
            if message["body"]:
                self.add_chunk(message["body"])
        else:
            if message["body"]:
                self.add_chunk(message["body"])
            if self.body_stage == OPEN:
                self.end_body()

    cdef object watch(self):
        cdef object awaitable
        if self.watching is not None:
            return None
        self.watching = awaitable = self.as_future(
            self.proto.client_disconnect() if self.rsgi else self.proto.receive()
        )
        awaitable.add_done_callback(self.on_disconnect)
        if awaitable.done():
            self.on_disconnect(awaitable)

    def on_disconnect(self, awaitable):
        if awaitable is not self.watching:
            return
        self.watching = None
        if self.over:
            return
        if not self.rsgi:
            try:
                if awaitable.result()["type"] != "http.disconnect":
                    self.watch()
                    return
            except BaseException:
                pass
        self.disconnected = True
        self.wake()

    cdef object end_watch(self):
        # Its one waiter per connection would otherwise swallow a later request's event. Before the end of
        # the response is sent: a server that stops then ends the process for a waiter that it still has.
        cdef object awaitable = self.watching
        self.watching = None
        if awaitable is not None:
            awaitable.cancel()

    def discard_body(self):
        """Read what the app left of the request's body, and drop it."""
        if asyncio._get_running_loop() is not self.loop:
            self.gateway.lane.post(RequestBody.discard_body, self)
            return
        if self.proto is None:
            return
        if self.body_stage == UNOPENED:
            self.open_body()
        if self.body_stage == OPEN and self.reading is None:
            self.read_next()
