# Whether an app is as it was read.
from freelane.fastcore.routing.watch cimport Watch

cdef class Guard:
    # Constant once made.
    cdef readonly tuple attributes   # (object, name, value)
    cdef readonly tuple sizes        # (collection, its length)
    cdef readonly tuple places       # (list, index, value)
    cdef readonly tuple absent       # (dict, key)
    cdef readonly tuple watches      # of names in modules and classes

    cpdef bint holds(self)
