# cython: language_level=3, freethreading_compatible=True
"""JSON (RFC 8259) by the standard library, with less on the way to it and back."""
import json

from cpython.dict cimport PyDict_Items
from cpython.sequence cimport PySequence_Tuple
from cpython.unicode cimport PyUnicode_GET_LENGTH, PyUnicode_READ_CHAR

from freelane.fastcore.json.text cimport Text

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


cpdef bytes plain_text(object value, bint encoded=False):
    """``json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()``, or None.

    Of values that are made of exact dict (with ``str`` keys), list, tuple, str, int, float, bool and
    None, as far as the library says nothing else to them; None for all others. ``encoded``: keys that
    begin with ``_sa`` count as others, since encoders that know SQLAlchemy leave those out.
    """
    cdef Text text = Text.__new__(Text)
    return text.taken() if write(text, value, encoded, 0) else None


cdef bint write(Text text, object value, bint encoded, int depth) except -1:
    cdef bint first = True
    kind = type(value)
    if kind is str:
        return text.put_str(<str>value)
    if kind is int:
        return text.put_int(value)
    if value is None:
        text.put("null", 4)
        return True
    if kind is float:
        return text.put_float(<double>value)
    if kind is bool:
        if value is True:
            text.put("true", 4)
        else:
            text.put("false", 5)
        return True
    if depth >= DEEPEST:
        return False
    if kind is dict:
        text.put_char(b"{")
        for key, item in PyDict_Items(value):  # as the library: another thread may change it
            if type(key) is not str or encoded and starts_with_sa(key):
                return False
            if not first:
                text.put_char(b",")
            first = False
            if not text.put_str(<str>key):
                return False
            text.put_char(b":")
            if not write(text, item, encoded, depth + 1):
                return False
        text.put_char(b"}")
        return True
    if kind is list or kind is tuple:
        text.put_char(b"[")
        for item in PySequence_Tuple(value):
            if not first:
                text.put_char(b",")
            first = False
            if not write(text, item, encoded, depth + 1):
                return False
        text.put_char(b"]")
        return True
    return False


cdef bint starts_with_sa(object key):
    return (
        PyUnicode_GET_LENGTH(key) >= 3
        and PyUnicode_READ_CHAR(key, 0) == c"_"
        and PyUnicode_READ_CHAR(key, 1) == c"s"
        and PyUnicode_READ_CHAR(key, 2) == c"a"
    )
