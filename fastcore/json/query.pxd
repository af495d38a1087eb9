# No state.

cpdef dict last_values(bytes query)
