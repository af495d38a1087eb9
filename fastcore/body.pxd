# A request's whole body, read on the server's threads before the request goes on.
cimport cython

cdef class WholeBody:
    cdef object proto
    cdef object watcher
    cdef object source           # the RSGI scope
    cdef object then
    cdef long long due           # bytes that the client announced
    cdef cython.pymutex lock     # guards `arrived`: Granian may tell twice
    cdef bint arrived

    cdef object arrive(self, object future)
