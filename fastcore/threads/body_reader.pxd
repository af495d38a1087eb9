# A request's whole body, read on the server's threads before the request goes on.
cimport cython

cdef long long size_of(object source) except -2

cdef class BodyReader:
    cdef readonly object watcher
    cdef readonly object proto
    cdef long long due           # bytes that the client announced
    cdef cython.pymutex lock     # guards `arrived`: Granian may tell twice
    cdef bint arrived

    cdef object begin(self)
    cdef object arrive(self, object future)
    cdef object go_on(self, bytes body)
