# A list of one item as a cell: any thread reads it without a lock and is left with a reference
# of its own, whatever replaces it meanwhile.

cdef extern from "Python.h":
    object PyList_GetItemRef(list, Py_ssize_t)

cdef extern from *:
    """
    /* Takes no reference to the list's new item from the caller, unlike PyList_SetItem. */
    static inline int freelane_cell_set(PyObject *list, PyObject *item) {
        Py_INCREF(item);
        return PyList_SetItem(list, 0, item);
    }
    """
    int cell_set "freelane_cell_set"(list, object) except -1

cdef inline object cell_get(list cell):
    return PyList_GetItemRef(cell, 0)
