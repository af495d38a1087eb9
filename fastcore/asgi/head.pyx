# cython: language_level=3, freethreading_compatible=True
"""Refuse the requests that Granian's parser lets pass and uvicorn's does not (RFC 9112, 3)."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from freelane.fastcore.asgi.http cimport answer_now

# The methods that llhttp, which is uvicorn's parser, knows.
cdef frozenset METHODS = frozenset((
    "GET HEAD POST PUT DELETE PATCH OPTIONS CONNECT TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND "
    "REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE MKCALENDAR LINK "
    "UNLINK SOURCE QUERY"
).split())


cdef class HeadCheck:
    """Stands before ``schedule(watcher)``, which Granian calls with the requests of its ASGI worker."""

    def __cinit__(self, schedule, logger=None):
        self.schedule = schedule
        self.logger = logger

    def __call__(self, watcher):
        cdef dict source = watcher.scope
        cdef str fault = None if source["http_version"] == "2" else fault_of(source)
        if fault is None:
            self.schedule(watcher)
            return
        if self.logger is not None:
            self.logger.warning(
                "Invalid HTTP request received: %s %.200r from %s has %s.",
                source.get("method", "GET"), source["raw_path"], ":".join(source["client"]), fault,
            )
        if source["type"] == "http":
            answer_now(watcher.proto, False, 400, b"Invalid HTTP request received.")
        else:
            watcher.done()


cdef str fault_of(dict source):
    """What is wrong with the head of an HTTP/1 request, in words; None where nothing is."""
    cdef bytes path = source["raw_path"], query = source["query_string"]
    cdef unsigned char* text = <unsigned char*>PyBytes_AS_STRING(path)
    if source.get("method", "GET") not in METHODS:
        return "an unknown method"
    if not ascii_only(path) or not ascii_only(query):
        return "a target that is not ASCII"
    if PyBytes_GET_SIZE(path) == 0 or text[0] != 47 and path != b"*":
        return "a target without a path"
    return None


cdef bint ascii_only(bytes data):
    cdef unsigned char* text = <unsigned char*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t i
    for i in range(PyBytes_GET_SIZE(data)):
        if text[i] > 127:
            return False
    return True
