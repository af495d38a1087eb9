# Requests and WebSockets in a lane process. Every attribute is touched on the loop's thread only.

from freelane.fastcore.lane.client cimport Call

cdef class HTTPCall(Call):
    cdef bytes body
    cdef bint more

cdef class WebSocketCall(Call):
    pass
