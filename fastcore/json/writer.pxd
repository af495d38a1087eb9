# JSON text of Python values. A Writer belongs to one call and one thread; nothing is shared.
from freelane.fastcore.json.text cimport Text

cdef enum:
    DEPTH = 256

# A container that is being written, in the stack frame of who writes it.
cdef struct Level:
    void* container
    Level* outer      # NULL for the outermost
    int depth

cdef class Writer(Text):
    cdef object convert

    cdef int write(self, object value, Level* outer) except -1
    cdef int write_text(self, str value) except -1
    cdef int write_int(self, object value) except -1
    cdef int write_float(self, double value) except -1
    cdef int write_pairs(self, object pairs, Level* level) except -1
    cdef int write_items(self, object items, Level* level) except -1
    cdef int write_other(self, object value, Level* outer) except -1
    cdef str key_text(self, object key)

cpdef bytes dumps(object value, object convert=*)
