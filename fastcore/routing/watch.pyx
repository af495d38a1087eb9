# cython: language_level=3, freethreading_compatible=True
"""Notice that a function of a module or a method of a class was replaced.

The interpreter tells of every change of the dicts that hold them (``PyDict_Watch``), so that
a check costs the comparison of two numbers for as long as nobody changes anything there.
"""
cimport cython

cdef extern from *:
    """
    static unsigned long long freelane_changes = 1;

    /* Called before the change is made, under the dict's lock (or the GIL). */
    static int freelane_on_change(PyDict_WatchEvent event, PyObject *dict, PyObject *key, PyObject *value) {
        __atomic_add_fetch(&freelane_changes, 1, __ATOMIC_SEQ_CST);
        return 0;
    }
    static inline unsigned long long freelane_count_changes(void) {
        return __atomic_load_n(&freelane_changes, __ATOMIC_ACQUIRE);
    }
    static inline unsigned long long freelane_load(unsigned long long *at) {
        return __atomic_load_n(at, __ATOMIC_RELAXED);
    }
    static inline void freelane_store(unsigned long long *at, unsigned long long value) {
        __atomic_store_n(at, value, __ATOMIC_RELAXED);
    }
    static inline int freelane_add_watcher(void) {
        return PyDict_AddWatcher(freelane_on_change);
    }
    """
    unsigned long long freelane_count_changes() noexcept nogil
    unsigned long long freelane_load(unsigned long long*) noexcept nogil
    void freelane_store(unsigned long long*, unsigned long long) noexcept nogil
    int freelane_add_watcher() except -1

cdef extern from "Python.h":
    int PyDict_Watch(int watcher_id, object dict) except -1
    object PyType_GetDict(object)

cdef object MISSING = object()
# -1 where the interpreter has no watcher left: every check looks then.
cdef int watcher
try:
    watcher = freelane_add_watcher()
except RuntimeError:
    watcher = -1


cdef class Watch:
    """``names`` are ``(holder, attribute)`` with a module or a class as the holder.

    ``holds()`` says whether each still has the value it had when the watch was made. A class
    is watched with its bases, as far as the attribute may come from them.
    """

    def __cinit__(self, names):
        cdef list marks = []
        cdef object holder, attribute
        for holder, attribute in names:
            for place in places(holder):
                if watcher >= 0:
                    PyDict_Watch(watcher, place)
                value = read(place, attribute)
                marks.append((place, attribute, value))
                if value is not MISSING:
                    break
        self.marks = tuple(marks)
        self.settled = 0

    cpdef bint holds(self) except -1:
        """Whether every name still means the same."""
        if freelane_load(&self.settled) == freelane_count_changes():
            return True
        return self.look()

    cdef bint look(self) except -1:
        cdef unsigned long long count = freelane_count_changes()
        cdef tuple mark
        for mark in self.marks:
            if read(<dict>mark[0], mark[1]) is not mark[2]:
                return False
        if watcher >= 0:
            freelane_store(&self.settled, count)
        return True


cdef list places(object holder):
    """The dicts that an attribute of ``holder`` may be in, the first one first."""
    if isinstance(holder, type):
        return [PyType_GetDict(base) for base in holder.__mro__]
    return [holder.__dict__]


cdef object read(dict place, object key):
    # Locked, so that a change that was counted before is seen here as made.
    with cython.critical_section(place):
        return place.get(key, MISSING)
