# FastFuture: one result on its way between threads.
cimport cython

cdef enum:
    PENDING = 0
    RUNNING = 1
    DONE = 2
    FAILED = 3
    CANCELLED = 4


cdef class FastFuture:
    # Guards every attribute below until `state` leaves PENDING; after that they are constant.
    cdef cython.pymutex lock
    cdef int state
    cdef object value
    cdef object callbacks
    cdef list waiters
    cdef object lane
    cdef object bound_loop
    cdef public bint _asyncio_future_blocking

    cdef object deliver(self, object delivery)
    cdef bint finish(self, int state, object value)
    cdef int peek(self)
    cdef object wait(self, object timeout)
