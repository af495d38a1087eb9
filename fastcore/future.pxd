# FastFuture: one result crossing threads. Executor: the free lane's slots, threads and queue.
cimport cython


cdef class FastFuture:
    # Guards every attribute below until `state` leaves PENDING; after that they are constant.
    cdef cython.pymutex lock
    cdef int state
    cdef object value
    cdef object callbacks
    cdef object waiter
    cdef object lane
    cdef object bound_loop
    cdef public bint _asyncio_future_blocking

    cdef bint finish(self, int state, object value)
    cdef int peek(self)
    cdef object wait(self, object timeout)


cdef class Executor:
    # Guards the counters and `backlog`.
    cdef cython.pymutex lock
    cdef readonly int limit
    cdef readonly int backlog_limit
    cdef int busy
    cdef int idle
    cdef int threads
    cdef bint stopped
    cdef object backlog
    cdef object handoff
    cdef readonly str name

    cdef object next_job(self)
    cdef object run_job(self, object job)
