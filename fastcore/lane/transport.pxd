# One end of a connection between the server and a lane process.

from freelane.fastcore.lane.decoder cimport Decoder

cdef class Link:
    # Every attribute is touched on the loop's thread only.
    cdef readonly object loop
    cdef readonly object sock
    cdef readonly int fd
    cdef Decoder decoder
    cdef object on_frame
    cdef object on_closed
    cdef list pending            # what is to be sent, in order
    cdef Py_ssize_t index        # pending[index] is the first not sent whole
    cdef Py_ssize_t offset       # and so much of it is sent
    cdef bint scheduled
    cdef bint blocked
    cdef readonly bint closed

    cpdef object write(self, bytes data)
    cdef int send_some(self) except -1
