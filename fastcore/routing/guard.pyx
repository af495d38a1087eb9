# cython: language_level=3, freethreading_compatible=True
"""Notice that an app is no longer as it was read."""
from cpython.dict cimport PyDict_Contains
from cpython.object cimport PyObject_Size

from freelane.fastcore.routing.watch cimport Watch
from freelane.fastcore.threads.atomic_ref cimport PyList_GetItemRef


cdef class Guard:
    """Marks of an app as it was read: attributes, lengths, items of lists, keys that dicts lack, names."""

    def __cinit__(self, attributes=(), sizes=(), places=(), absent=(), watches=()):
        self.attributes = tuple(attributes)
        self.sizes = tuple(sizes)
        self.places = tuple(places)
        self.absent = tuple(absent)
        self.watches = tuple(watches)

    cpdef bint holds(self):
        """Whether every mark is as it was; compared by identity."""
        cdef tuple mark
        cdef object found
        for found in self.watches:
            if not (<Watch>found).holds():
                return False
        for mark in self.attributes:
            found = getattr(mark[0], <str>mark[1], None)
            if found is not mark[2]:
                return False
        for mark in self.sizes:
            if PyObject_Size(mark[0]) != <Py_ssize_t>mark[1]:
                return False
        for mark in self.absent:
            if PyDict_Contains(mark[0], mark[1]):
                return False
        for mark in self.places:
            try:
                found = PyList_GetItemRef(<list>mark[0], <Py_ssize_t>mark[1])
            except IndexError:
                return False
            if found is not mark[2]:
                return False
        return True
