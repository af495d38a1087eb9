# The ASGI scope over RSGI: a dict whose costly keys are filled on first touch.
cimport cython
from cpython.object cimport PyObject

cdef extern from "Python.h":
    int PyDict_GetItemRef(object mapping, object key, PyObject** result) except -1


cpdef tuple split_address(str address)
cpdef dict complete_scope(dict scope, str root_path, dict state)
cdef bint is_forwarded(list headers)


cdef class Scope(dict):
    # Guards `source` and the filling of keys.
    cdef cython.pymutex lock
    # The RSGI scope while keys are still unfilled, then None.
    cdef object source
    cdef str came                # the path before the app changed it
    cdef object forwarded

    cdef object fill(self)
    cdef object compute(self, object source, str key)
    cdef object origin(self, object source, str key)
    cdef object touch(self, object key)
