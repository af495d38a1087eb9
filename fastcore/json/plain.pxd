# No state.

cpdef object loads(bytes text)
cpdef object read(bytes text, bint constants, object rest)
cpdef bint is_plain_json(object value, int depth=*) except -1
