# Checks and conversions of response headers; no state.

cpdef list check_headers(object headers)
cpdef list text_headers(list headers)
