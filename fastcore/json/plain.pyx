# cython: language_level=3, freethreading_compatible=True
"""JSON (RFC 8259) by the standard library, with less on the way to it and back."""
import json

cimport cython
from cpython.dict cimport PyDict_Next
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_GET_LENGTH, PyUnicode_READ_CHAR

# Deeper values, and values that contain themselves, are left to who converts.
cdef int DEEPEST = 64


try:
    from pydantic_core import from_json
except ImportError:  # who has no pydantic reads at the library's speed
    from_json = None


cpdef object loads(bytes text):
    """``json.loads(text)``, its errors included."""
    return read(text, True, json.loads)


cpdef object read(bytes text, bint constants, object rest):
    """The value of a JSON text; ``rest(text)`` where pydantic's parser is missing or finds fault with it.

    ``constants``: whether NaN and the infinities are JSON.
    """
    if from_json is not None:
        try:
            # Its cache of strings is shared by all threads.
            return from_json(text, allow_inf_nan=constants, cache_strings="none")
        except ValueError:
            pass
    return rest(text)


cpdef bint is_plain_json(object value, int depth=0) except -1:
    """Whether ``value`` is made of exact dict (with ``str`` keys), list, tuple, str, int, float, bool and None.

    Keys that begin with ``_sa`` count as no: encoders that know SQLAlchemy leave those out.
    """
    cdef PyObject* key
    cdef PyObject* item
    cdef Py_ssize_t at = 0
    cdef list inner = None
    kind = type(value)
    if kind is str or kind is int or value is None or kind is float or kind is bool:
        return True
    if depth >= DEEPEST:
        return False
    if kind is dict:
        # Within the section, which a lock taken inside it would suspend, leaves are looked at only:
        # what `key` and `item` borrow from is the dict as it is until then.
        with cython.critical_section(value):
            while PyDict_Next(value, &at, &key, &item):
                if type(<object>key) is not str or starts_with_sa(<object>key):
                    return False
                kind = type(<object>item)
                if kind is str or kind is int or <object>item is None or kind is float or kind is bool:
                    continue
                if inner is None:
                    inner = []
                inner.append(<object>item)
        if inner is not None:
            for element in inner:
                if not is_plain_json(element, depth + 1):
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
