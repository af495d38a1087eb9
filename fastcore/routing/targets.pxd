# The two kinds of target: through an ASGI exchange, or in one piece.
from freelane.fastcore.asgi.http cimport HTTPExchange
from freelane.fastcore.routing.dispatcher cimport FREE, GIL, LOOP, Call, Target

cdef class ASGITarget(Target):
    # Constant once made.
    cdef readonly dict constants     # scope keys
    cdef readonly dict fresh         # scope keys whose dicts are copied for each request
    cdef readonly object answer
    cdef readonly object answer_here
    cdef object hand_over_bound

    cdef object enter(self, object scope, object params)
    cdef HTTPExchange open(self, Call call)

cdef class LaneTarget(Target):
    pass

cdef class DirectTarget(Target):
    pass
