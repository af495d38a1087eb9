# The free lane's slots, threads and queue.
cimport cython


cdef class Executor:
    # Guards every counter, flag and queue below.
    cdef cython.pymutex lock
    cdef readonly int limit            # most slots
    cdef readonly int backlog_limit
    cdef readonly int cores
    cdef readonly int allowed          # slots now, between cores and limit
    cdef int busy
    cdef int here                      # server threads that run a job
    cdef readonly bint parked          # one more sleeps until it is needed
    cdef double pause                  # seconds without parking after it was wrong
    cdef double pause_ends
    cdef set recent                    # server threads that ran a job lately, by their identifiers,
    cdef unsigned long last            # the last of them
    cdef unsigned long long turns      # jobs that server threads ran,
    cdef unsigned long long since      # and how many when `recent` began,
    cdef double since_when             # at this time
    cdef list idle                     # the queues of pool threads that wait for a job
    cdef int threads
    cdef readonly unsigned long long finished   # jobs
    cdef bint stopped
    cdef bint watching
    cdef object backlog                # jobs without a slot
    cdef object urgent                 # jobs that go before those, and beyond the slots if need be
    cdef readonly str name

    cpdef bint run_here(self, object function, object argument) except -1
    cdef object claim_thread(self)
    cdef object dispatch(self, object job, object thread)
    cdef object queued_job(self)
    cdef object next_job(self, bint* idle)
    cdef object run_job(self, object job)
    cdef object start_watch(self)
    cdef object adjust(self)
    cdef bint too_many(self)
    cdef object park(self)
