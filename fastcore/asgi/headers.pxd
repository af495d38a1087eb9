# Checks and conversions of a response's status and headers; no state.

cdef enum:
    UNSAID = -1
    CHUNKED = -2

cpdef list check_headers(object headers)
cpdef list text_headers(list headers)
cpdef int check_status(object status) except -1
cdef long long take_framing(list headers) except? -3
cdef int check_limits(int status, Py_ssize_t headers) except -1
cpdef bytes find_header(object headers, bytes wanted)
cpdef bint has_any(object headers, set names) except -1
