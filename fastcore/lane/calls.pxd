# Requests and WebSockets in a lane process. Every attribute is touched on the loop's thread only.

from freelane.fastcore.lane.client cimport Call

cdef class HTTPCall(Call):
    cdef object receive          # what stands before the exchange's, or None
    cdef bytes body
    cdef bint more

cdef class WebSocketCall(Call):
    pass
