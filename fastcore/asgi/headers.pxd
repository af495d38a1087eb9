# Checks and conversions of response headers; no state.

cpdef list check_headers(object headers)
cpdef list text_headers(list headers)
cdef long long content_length(list headers) except? -2
