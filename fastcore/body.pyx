# cython: language_level=3, freethreading_compatible=True
"""A request body that is awaited without the event loop and without a blocked thread."""


cdef class WholeBody:
    """Calls ``then(body)`` on one of the server's threads once the body of an RSGI request is there.

    This object is the callback that Granian gets; the server runs it where it is called, so
    ``then`` must not raise and must not wait.
    """

    def __cinit__(self, object watcher, object source, object then):
        self.watcher = watcher
        self.proto = watcher.proto
        self.source = source
        self.then = then
        self.due = 0
        self.arrived = False

    def begin(self):
        """Start to read. False, with nothing done, for a body whose length only reading tells (RFC 9112, 6.3)."""
        cdef object headers = self.source.headers, length, future
        if "transfer-encoding" in headers:
            return False
        length = headers.get("content-length")
        if length is None:
            if self.source.http_version[0] != "1":
                return False
            length = "0"
        if not length.isdigit():
            return False
        self.due = int(length)
        if self.due == 0:
            self.then(b"")
            return True
        future = self.proto()
        future.add_done_callback(self)
        # Granian may lose a callback added while the result arrives.
        if future.done():
            self.arrive(future)
        return True

    def __call__(self, future):
        self.arrive(future)

    cdef object arrive(self, object future):
        cdef object data
        with self.lock:
            if self.arrived:
                return None
            self.arrived = True
        try:
            data = future.result()
        except BaseException:
            data = b""
        if len(data) < self.due:
            # The client went away before the end: nobody is left to answer.
            self.watcher.done()
            return None
        self.then(data)
