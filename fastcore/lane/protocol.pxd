# The gil lane's binary protocol: what a frame may hold, and writing one.

from libc.stdint cimport uint32_t

cpdef bytes frame(int kind, int flags, uint32_t stream, bytes payload)
cpdef bytes frame_head(int kind, int flags, uint32_t stream, Py_ssize_t length)
cpdef bytes encode_request(uint32_t stream, scope, bytes body, bint end)
cpdef bytes encode_route(uint32_t stream, uint32_t route, bytes scope, bytes body, bint end)
cpdef bytes encode_response(uint32_t stream, int status, list headers, bytes body, bint end)
cpdef bint has_body(scope) except -1
