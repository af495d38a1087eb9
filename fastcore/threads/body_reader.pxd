# A request's whole body, read on the server's threads before the request goes on.
cimport cython

cdef long long size_of(object source, bint rsgi) except -2

cdef class BodyReader:
    cdef readonly object watcher
    cdef readonly object proto
    cdef bint rsgi               # whether `proto` is RSGI's or that of Granian's ASGI worker
    cdef long long due           # bytes that the client announced and that were not read yet
    cdef list parts              # what was read of it, over ASGI, if not all at once
    cdef cython.pymutex lock     # guards `future`: Granian may tell twice
    cdef object future           # what is being waited for

    cdef object begin(self)
    cdef object wait(self, object future)
    cdef object arrive(self, object future)
    cdef object take(self, object future)
    cdef object take_frame(self, dict message)
    cdef object go_on(self, bytes body)
