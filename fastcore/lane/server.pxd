# The streams of a lane process. Every attribute is touched on the loop's thread only.

from freelane.fastcore.lane.transport cimport Link

cdef class Stream:
    cdef dict streams            # those of the connection that are not over, by number
    cdef Link link
    cdef unsigned int id
    cdef object loop
    cdef long long credit        # what the server takes without granting more (bytes)
    cdef object outbox           # (kind, flags, payload) that wait for credit
    cdef object drained          # done when they are sent
    cdef object waiter           # the app's receive
    cdef bint lost               # the server has no more use for it
    cdef long long room          # what the server may still send (bytes)
    cdef long long used          # what the app took that the server was not told of (bytes)

    cpdef object finish(self)
    cpdef object reset(self)
    cpdef object lose(self)

cdef class HTTPStream(Stream):
    cdef object parts
    cdef bint body_ended
    cdef public bint passes_on   # of a route's turn: lengths are checked where the server is
    cdef tuple head              # a status and headers that wait for the body's beginning
    cdef object due              # of a response with a length, the bytes still to come; else None

cdef class WebSocketStream(Stream):
    cdef object messages         # events, with the bytes that the app takes by receiving one
    cdef list parts
    cdef bint accepted
    cdef bint answered
    cdef tuple denial

cdef class Connection:
    cdef object process
    cdef dict streams
    cdef unsigned int last
    cdef readonly bint leaving
    cdef readonly Link link
