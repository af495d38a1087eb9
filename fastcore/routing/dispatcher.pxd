# Requests on their way from Granian's threads to what answers them, past an app's own layers.
from freelane.fastcore.asgi.gateway cimport Gateway
from freelane.fastcore.routing.watch cimport Watch


cdef class Guard:
    # Constant once made.
    cdef readonly tuple attributes   # (object, name, value)
    cdef readonly tuple sizes        # (collection, its length)
    cdef readonly tuple places       # (list, index, value)
    cdef readonly tuple absent       # (dict, key)
    cdef readonly tuple watches      # of names in modules and classes

    cpdef bint holds(self)


cdef class Target:
    # Constant once made.
    cdef readonly Guard guard
    cdef readonly dict constants     # scope keys
    cdef readonly dict fresh         # scope keys whose dicts are copied for each request
    cdef readonly object answer
    cdef readonly object serve
    cdef readonly bint body

    cdef object enter(self, object scope, object params)


cdef class Table:
    # Constant once made.
    cdef readonly Guard guard
    cdef readonly object match


cdef class Dispatcher:
    cdef readonly Gateway gateway
    cdef readonly object executor
    cdef readonly str root_path
    cdef object renew                # called when the table is out of date
    cdef object busy
    # The current table, replaced as one reference.
    cdef list cell
    cdef object begin_bound
    cdef object serve_bound
    cdef object hand_over_bound

    cdef tuple find(self, str method, str path)
    cdef bint read(self, tuple call) except -1
    cdef object post(self, tuple call)
    cdef object run_here(self, tuple call)
