# Requests over RSGI that never need the event loop: a whole body, then one response.
cimport cython

from freelane.fastcore.body cimport WholeBody
from freelane.fastcore.executor cimport Executor
from freelane.fastcore.gateway cimport Gateway

cdef class DirectExchange(WholeBody):
    cdef readonly Gateway gateway
    cdef readonly object source      # the RSGI scope
    cdef readonly str method
    cdef readonly str path
    # For whoever answers, which is one thread after the other:
    cdef readonly object target      # what the table has for the request
    cdef readonly object params
    cdef public object body          # None until it was read
    cdef readonly object limit       # bytes that the body may have
    cdef readonly long long began    # the dispatcher's tick when it arrived
    cdef DirectDispatcher dispatcher
    cdef bint answered               # guarded by `lock`

cdef class DirectDispatcher:
    # All but the last three is constant once serving.
    cdef readonly Gateway gateway
    cdef object owner
    cdef Executor executor
    cdef object context
    cdef object serve_bound
    cdef readonly set inflight       # on the server's threads; its own lock guards it
    cdef public long long ticks      # written by the loop's thread
    cdef cython.pymutex lock         # guards the one below
    cdef long long count

    cdef object take(self, object watcher)
    cdef object ready(self, DirectExchange exchange)
