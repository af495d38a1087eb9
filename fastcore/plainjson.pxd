# No state.

cpdef object loads(bytes text)
cpdef bint is_plain_json(object value, int depth=*) except -1
