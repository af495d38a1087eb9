# What the client sends, as the app is told of it.
from freelane.fastcore.asgi.loop_context cimport LoopContext

cdef enum:
    # Request body, as far as the app was told.
    UNOPENED = 0
    OPEN = 1
    ENDED = 2      # the last chunk is queued or was handed out
    CUT = 3        # the client went away before the end

cdef class RequestBody:
    # Of whoever has the exchange; see http.pxd.
    cdef readonly LoopContext gateway
    cdef readonly object scope
    cdef object proto
    cdef object source
    cdef object loop
    cdef bint rsgi
    cdef int body_stage
    cdef object reading
    cdef object watching
    cdef list chunks
    cdef long long body_left
    cdef bint ambiguous_end
    cdef list waiters
    cdef bint disconnected
    cdef bint over               # the response is complete: nobody reads on

    cdef object wake(self)
    cdef object as_future(self, object awaitable)
    cdef object add_chunk(self, bytes data)
    cdef object end_body(self)
    cdef object on_message(self, dict message)
    cdef object open_body(self)
    cdef object read_next(self)
    cdef object break_body(self)
    cdef object watch(self)
    cdef object end_watch(self)
