# What the requests of one event loop share.

cdef class LoopContext:
    # All but `lane.post` is used on the loop's thread; the settings are constant once serving.
    cdef readonly object app
    cdef readonly object loop
    cdef readonly object lane
    cdef readonly bint rsgi
    cdef readonly str root_path
    cdef public dict state
    cdef readonly set active
    cdef readonly object context
    cdef readonly object forwarded
    cdef readonly object observer
    cdef readonly bint observed  # set once more when the server begins to end, on the loop's thread: who
    cdef bint leaving            # still reads the old value sends one more response without `connection: close`
    cdef readonly object connections
    cdef readonly object logger
    cdef readonly dict extensions
    cdef readonly set losses

    cpdef bint breaks(self, scope)
