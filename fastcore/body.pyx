# cython: language_level=3, freethreading_compatible=True
"""A request body that is awaited without the event loop and without a blocked thread."""


cdef long long size_of(object source) except -2:
    """Bytes that a request's body has; -1 where only reading it will tell (RFC 9112, 6.3)."""
    # Granian copies all headers each time that it is asked for them.
    cdef object headers = source.headers, length
    if "transfer-encoding" in headers:
        return -1
    length = headers.get("content-length")
    if length is None:
        return 0 if source.http_version[0] == "1" else -1
    return int(length) if length.isdigit() else -1


cdef class WholeBody:
    """Goes on with ``go_on(body)``, on one of the server's threads, once the body of an RSGI request is there.

    This object is the callback that Granian gets; the server runs it where it is called, so
    ``go_on``, which subclasses have, must not raise and must not wait.
    """

    cdef object begin(self):
        """Start to read; ``watcher``, ``proto`` and ``due``, which is not 0, were set."""
        cdef object future = self.proto()
        future.add_done_callback(self)
        # Granian may lose a callback added while the result arrives.
        if future.done():
            self.arrive(future)

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
        else:
            self.go_on(data)

    cdef object go_on(self, bytes body):
        raise NotImplementedError
