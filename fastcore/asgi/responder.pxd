# An answer in one piece, from any thread.
from freelane.fastcore.asgi.gateway cimport Gateway
from freelane.fastcore.threads.body_reader cimport BodyReader

cdef class Responder(BodyReader):
    # Constant once the request was taken.
    cdef readonly Gateway gateway
    cdef readonly object source      # Granian's scope
    cdef readonly str method
    cdef readonly str path
    cdef readonly bint free          # whether one of the server's threads answers
    cdef bint answered               # guarded by `lock`

    cpdef bint claim(self) except -1
    cpdef bint respond(self, int status, list headers, bytes body) except -1
