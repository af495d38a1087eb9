# The loop lane: work posted from any thread, run on one event loop, one wake-up per batch.
cimport cython


cdef class LoopQueue:
    cdef readonly object loop
    # Guards `items` and `armed`, the only state other threads write.
    cdef cython.pymutex lock
    cdef list items
    cdef bint armed
    cdef bint closed
    cdef object drain_context
    cdef readonly unsigned long long wakeups
    cdef readonly unsigned long long posted

    cpdef bint post(self, object callback, object argument)
