# Requests over RSGI that never need the event loop: a whole body, then one response.
cimport cython
from cpython.object cimport PyObject

from freelane.fastcore.threads.body_reader cimport BodyReader
from freelane.fastcore.threads.executor cimport Executor
from freelane.fastcore.asgi.gateway cimport Gateway

cdef class DirectRoute:
    cdef public object call          # (request) -> what the handler returns
    cdef public bint free            # whether it runs on the server's threads
    cdef public bint body            # whether it wants the request's body, before all else

cdef class DirectTable:
    # Constant once made.
    cdef public object match         # (method, path), as fastcore.router's
    cdef public object answer_direct # (exchange) -> status, headers, body
    cdef public object max_body_size # bytes

cdef class DirectExchange(BodyReader):
    cdef readonly Gateway gateway
    cdef readonly object source      # the RSGI scope
    cdef readonly str method
    cdef readonly str path
    # For whoever answers, which is one thread after the other:
    cdef readonly DirectRoute target # what the table has for the request
    cdef readonly object params
    cdef readonly bytes body         # None for a target that wants none
    cdef readonly long long began    # the dispatcher's tick when it arrived
    cdef DirectDispatcher dispatcher
    cdef PyObject* older             # neighbours among those that threads answer now; the
    cdef PyObject* newer             # dispatcher's lock guards both
    cdef bint answered               # guarded by `lock`

    cpdef bint claim(self) except -1
    cpdef bint respond(self, int status, list headers, bytes body) except -1

cdef class DirectDispatcher:
    # All but the class and the last four is constant once serving.
    cdef readonly Gateway gateway
    cdef object owner
    cdef type http_scope             # Granian's class for HTTP, once it was seen
    cdef Executor executor
    cdef object context
    cdef object serve_bound
    cdef public long long ticks      # written by the loop's thread
    cdef cython.pymutex lock         # guards the two below
    cdef PyObject* newest            # of the requests that threads answer now, each alive in a call of `serve`
    cdef long long count

    cdef object take(self, object watcher)
    cdef bint is_http(self, object source) except -1
    cdef int enter(self, DirectExchange exchange) except -1
    cdef int leave(self, DirectExchange exchange) except -1
    cdef object ready(self, DirectExchange exchange)
