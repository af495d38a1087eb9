# cython: language_level=3, freethreading_compatible=True
"""A request body that is awaited without the event loop and without a blocked thread."""
from cpython.unicode cimport PyUnicode_GET_LENGTH, PyUnicode_READ_CHAR


cdef long long size_of(object source) except -2:
    """Bytes that a request's body has; -1 where only reading it will tell (RFC 9112, 6.3)."""
    # Granian copies all headers each time that it is asked for them.
    cdef object headers = source.headers, length
    if "transfer-encoding" in headers:
        return -1
    length = headers.get("content-length")
    if length is None:
        return 0 if source.http_version[0] == "1" else -1
    return number_of(length)


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
