# Whether names of modules and classes still mean what they meant.

cdef class Watch:
    # Constant once made: (dict, key, value or MISSING) each.
    cdef readonly tuple marks
    # The count of changes, of any watched dict, at which the marks were last seen to hold.
    # Read and written as one word; an old value only means another look.
    cdef unsigned long long settled

    cpdef bint holds(self) except -1
    cdef bint look(self) except -1
