# cython: language_level=3, freethreading_compatible=True
"""An answer in one piece over RSGI, given once, from whichever thread is first.

The free lane's endpoint, the clock that finds it late and the loop that stops may all answer one
request: ``claim`` is the one place that says who does.
"""
import threading

from freelane.fastcore.asgi.headers cimport check_limits


cdef class Responder(BodyReader):
    """Answers one request. Any thread may; the first answer counts."""

    cpdef bint claim(self) except -1:
        """Take the right to answer. False if the request was answered."""
        with self.lock:
            if self.answered:
                return False
            self.answered = True
            return True

    cpdef bint respond(self, int status, list headers, bytes body) except -1:
        """Send a whole response, unless one was sent: then returns False.

        ``headers`` are checked ``(name, value)`` pairs of ``str``, without a length. Raises
        RuntimeError for a status or more headers than the server below takes.
        """
        check_limits(status, len(headers))
        if not self.claim():
            return False
        if self.method == "HEAD" and not 100 <= status < 200 and status != 204 and status != 304:
            headers = headers + [("content-length", str(len(body)))]
            body = b""
        if self.gateway.observed:
            headers = list(headers)
            scope = self.gateway.open(self.source, self.proto).scope
            if self.free:
                scope["freelane.lane"] = ("free", threading.current_thread().name)
            self.gateway.observe(scope, status, headers)
        if body:
            self.proto.response_bytes(status, headers, body)
        else:
            self.proto.response_empty(status, headers)
        return True
