# cython: language_level=3, freethreading_compatible=True
"""A request body that is awaited without the event loop and without a blocked thread."""
from cpython.unicode cimport PyUnicode_GET_LENGTH, PyUnicode_READ_CHAR


cdef long long size_of(object source, bint rsgi) except -2:
    """Bytes that a request's body has; -1 where only reading it will tell (RFC 9112, 6.3)."""
    cdef object headers, length = None
    cdef bytes name
    if rsgi:
        # Granian copies all headers each time that it is asked for them.
        headers = source.headers
        if "transfer-encoding" in headers:
            return -1
        length = headers.get("content-length")
        if length is None:
            return 0 if source.http_version[0] == "1" else -1
        return number_of(length)
    for name, value in <list>source["headers"]:
        if name == b"content-length":
            length = value
        elif name == b"transfer-encoding":
            return -1
    if length is None:
        return 0 if source["http_version"][0] == "1" else -1
    return number_of(length.decode("latin-1"))


cdef long long number_of(str digits) except -2:
    """The number that ASCII digits stand for; -1 for anything else, and for one beyond 18 digits."""
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(digits), at
    cdef long long number = 0
    cdef long long digit
    if not 0 < length <= 18:
        return -1
    for at in range(length):
        digit = <long long>PyUnicode_READ_CHAR(digits, at)
        if not 48 <= digit <= 57:
            return -1
        number = number * 10 + (digit - 48)
    return number


cdef class BodyReader:
    """Goes on with ``go_on(body)``, on one of the server's threads, once a request's body is there.

    This object is the callback that Granian gets; the server runs it where it is called, so
    ``go_on``, which subclasses have, must not raise and must not wait.
    """

    cdef object begin(self):
        """Start to read; ``watcher``, ``proto``, ``rsgi`` and ``due``, which is not 0, were set."""
        # RSGI collects a whole body; the ASGI worker hands out what has arrived.
        self.wait(self.proto() if self.rsgi else self.proto.receive())

    cdef object wait(self, object future):
        while future is not None:
            with self.lock:
                self.future = future
            try:
                future.add_done_callback(self)
            except AttributeError:  # no future: the client was gone already
                self.watcher.done()
                return None
            # Granian may lose a callback added while the result arrives.
            if not future.done():
                return None
            future = self.take(future)

    def __call__(self, future):
        self.arrive(future)

    cdef object arrive(self, object future):
        self.wait(self.take(future))

    cdef object take(self, object future):
        # The next future to wait for, or None.
        cdef object data
        with self.lock:
            if self.future is not future:
                return None
            self.future = None
        try:
            data = future.result()
        except BaseException:
            data = None
        if not self.rsgi:
            return self.take_frame(data)
        if data is not None and len(data) >= self.due:
            self.go_on(data)
        else:
            # The client went away before the end: nobody is left to answer.
            self.watcher.done()
        return None

    cdef object take_frame(self, dict message):
        cdef bytes data
        if message is None or message["type"] != "http.request":
            self.watcher.done()
            return None
        data = message["body"]
        self.due -= len(data)
        # Once all that was announced is there, the end is not worth another call.
        if self.due <= 0:
            if self.parts is not None:
                self.parts.append(data)
                data = b"".join(self.parts)
            self.go_on(data)
        elif message["more_body"]:
            if self.parts is None:
                self.parts = []
            self.parts.append(data)
            return self.proto.receive()
        else:
            self.watcher.done()
        return None

    cdef object go_on(self, bytes body):
        raise NotImplementedError
