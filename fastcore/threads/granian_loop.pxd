# The event loop, as the server sees it.
from freelane.fastcore.threads.loop_queue cimport LoopQueue

cdef class GranianLoop:
    cdef readonly object loop
    cdef readonly LoopQueue lane
    cdef object run
