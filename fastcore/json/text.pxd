# JSON text as it grows. Belongs to one call and one thread; nothing is shared.
cdef class Text:
    cdef char* data
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity

    cdef int reserve(self, Py_ssize_t more) except -1
    cdef int put(self, const char* text, Py_ssize_t size) except -1
    cdef int put_char(self, char letter) except -1
    cdef int put_bytes(self, bytes text) except -1
    cdef int put_quoted(self, const unsigned char* text, Py_ssize_t size) except -1
    # False, with nothing written: lone surrogates, beyond 64 bits, NaN and the infinities.
    cdef bint put_str(self, str value) except -1
    cdef bint put_int(self, object value) except -1
    cdef bint put_float(self, double value) except -1
    cdef bytes taken(self)
