# JSON text of Python values. A Writer belongs to one call and one thread; nothing is shared.
cdef enum:
    DEPTH = 256

# A container that is being written, in the stack frame of who writes it.
cdef struct Level:
    void* container
    Level* outer      # NULL for the outermost
    int depth

cdef class Writer:
    cdef char* data
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef object convert

    cdef int reserve(self, Py_ssize_t more) except -1
    cdef int put(self, const char* text, Py_ssize_t size) except -1
    cdef int put_char(self, char letter) except -1
    cdef int write(self, object value, Level* outer) except -1
    cdef int write_text(self, str value) except -1
    cdef int write_int(self, object value) except -1
    cdef int write_float(self, double value) except -1
    cdef int write_pairs(self, object pairs, Level* level) except -1
    cdef int write_items(self, object items, Level* level) except -1
    cdef int write_other(self, object value, Level* outer) except -1
    cdef str key_text(self, object key)

cpdef bytes dumps(object value, object convert=*)
