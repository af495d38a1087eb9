# No state.

cpdef bint is_plain_json(object value, int depth=*) except -1
