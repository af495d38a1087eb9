# No state.

cpdef object loads(bytes text)
cpdef object read(bytes text, bint constants, object rest)
cpdef bytes plain_text(object value, bint encoded=*)
