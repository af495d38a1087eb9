# A check of request heads, before anything else is done with them.

cdef class HeadCheck:
    # Constant once made; any thread calls it.
    cdef object schedule
    cdef object logger

cdef str fault_of(dict source)
cdef bint ascii_only(bytes data)
