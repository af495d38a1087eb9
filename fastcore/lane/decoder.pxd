# Reading frames and payloads of the gil lane's protocol.

from libc.stdint cimport uint8_t, uint32_t

cdef struct Header:
    uint8_t kind
    uint8_t flags
    uint32_t stream
    uint32_t length

cdef class Decoder:
    # Used by one thread at a time. ``scratch[start:end]`` is what is not understood yet; a
    # payload too large for it is read straight into the ``bytes`` object that is handed out.
    cdef unsigned char* scratch
    cdef Py_ssize_t start
    cdef Py_ssize_t end
    cdef Header head
    cdef bytes large
    cdef Py_ssize_t filled
    cdef uint32_t accepted       # one bit for each kind that may come
    cdef readonly bint eof

    cdef unsigned char* room(self, Py_ssize_t* size) noexcept
    cdef int advance(self, Py_ssize_t count, list frames) except -1
    cdef int parse(self, list frames) except -1

cdef class Reader:
    # Walks one payload; every take is checked against what is left.
    cdef bytes data
    cdef const unsigned char* at
    cdef Py_ssize_t left

    cdef uint32_t number(self, int size) except? 0xFFFFFFFF
    cdef bytes blob(self, int size)
    cdef str text(self, int size)
    cdef object peer(self)
    cdef list pairs(self)
    cdef bytes rest(self)

cpdef tuple decode_response(bytes payload)
