# The event loop, as the server sees it.
from freelane.fastcore.lane cimport LoopLane

cdef class LoopProxy:
    cdef readonly object loop
    cdef readonly LoopLane lane
    cdef object main
