# A worker's connection to a lane process, and its calls. Every attribute is touched on the
# loop's thread only, except that any thread may read a Load.

from freelane.fastcore.lane.transport cimport Link

cdef class Load:
    cdef readonly long busy
    cdef readonly long requests
    cdef readonly double waited
    cdef readonly double worked

cdef class Lane:
    cdef readonly object client
    cdef readonly object process
    cdef Load load
    cdef readonly dict calls
    cdef unsigned int last       # the newest stream's number
    cdef readonly long busy
    cdef readonly bint ready
    cdef readonly bint alive
    cdef object pinged
    cdef readonly Link link

    cdef unsigned int open(self, Call call, double waited) except 0
    cdef object began(self, double worked)

cdef class Call:
    cdef readonly object client
    cdef readonly object exchange
    cdef object turn             # the exchange, where that is a Turn; else None
    cdef readonly Lane lane
    cdef readonly unsigned int stream
    # When it began to wait for a lane, and when the lane was last given something (loop time).
    cdef readonly double queued
    cdef readonly double since
    cdef public bint waited
    cdef readonly bint begun     # the lane has answered
    cdef readonly bint over      # nothing more concerns the lane
    cdef bint running            # the exchange's own task is at work
    cdef bint gone               # the client is
    cdef object events
    cdef object waiter
    cdef long long credit        # what the lane takes without granting more (bytes)
    cdef object earned
    cdef long long room          # what the lane may still send (bytes)
    cdef long long used
    cdef object watch            # the task that reads from the client

    cpdef object dispatch(self, Lane lane)
    cpdef bytes request(self)
    cdef object begin(self)
    cpdef object finish(self)
    cpdef object reset(self)
    cpdef object fail(self, int status)
    cpdef object on_frame(self, int kind, int flags, bytes payload)
    cpdef object push(self, tuple event)
    cpdef object take(self, Py_ssize_t size)
