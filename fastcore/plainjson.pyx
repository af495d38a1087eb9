# cython: language_level=3, freethreading_compatible=True
"""JSON (RFC 8259) by the standard library, with less on the way to it and back."""
import json

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Next
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_GET_LENGTH, PyUnicode_READ_CHAR

# Deeper values, and values that contain themselves, are left to who converts.
cdef int DEEPEST = 64


cdef object scan_once = json.JSONDecoder().scan_once
cdef object slow_loads = json.loads


cpdef object loads(bytes text):
    """``json.loads(text)``, its errors included."""
    cdef const char* letters = PyBytes_AS_STRING(text)
    cdef str decoded
    # An object or array in UTF-8: no other encoding begins so.
    if PyBytes_GET_SIZE(text) > 1 and (letters[0] == c"{" or letters[0] == c"[") and letters[1] != 0:
        try:
            decoded = text.decode("utf-8", "surrogatepass")
            value, end = scan_once(decoded, 0)
            if end == len(decoded):
                return value
        except (StopIteration, ValueError):
            pass
    return slow_loads(text)


cpdef bint is_plain_json(object value, int depth=0) except -1:
    """Whether ``value`` is made of exact dict (with ``str`` keys), list, tuple, str, int, float, bool and None.

    Keys that begin with ``_sa`` count as no: encoders that know SQLAlchemy leave those out.
    """
    cdef PyObject* key
    cdef PyObject* item
    cdef Py_ssize_t at = 0
    kind = type(value)
    if kind is str or kind is int or value is None or kind is float or kind is bool:
        return True
    if depth >= DEEPEST:
        return False
    if kind is dict:
        with cython.critical_section(value):
            while PyDict_Next(value, &at, &key, &item):
                if type(<object>key) is not str or starts_with_sa(<object>key):
                    return False
                if not is_plain_json(<object>item, depth + 1):
                    return False
        return True
    if kind is list:
        for element in (<list>value).copy():  # another thread may have it too
            if not is_plain_json(element, depth + 1):
                return False
        return True
    if kind is tuple:
        for element in <tuple>value:
            if not is_plain_json(element, depth + 1):
                return False
        return True
    return False


cdef bint starts_with_sa(object key):
    return (
        PyUnicode_GET_LENGTH(key) >= 3
        and PyUnicode_READ_CHAR(key, 0) == c"_"
        and PyUnicode_READ_CHAR(key, 1) == c"s"
        and PyUnicode_READ_CHAR(key, 2) == c"a"
    )
