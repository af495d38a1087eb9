# cython: language_level=3, freethreading_compatible=True
"""JSON (RFC 8259) of Python values, with errors that say where in the value they are."""
from collections.abc import Mapping

from cpython.dict cimport PyDict_Items
from cpython.sequence cimport PySequence_Tuple

from freelane.fastcore.json.text cimport Text


class JSONError(ValueError):
    """A value that JSON cannot carry; ``path`` is a JSONPath such as ``$.users[0].score``."""

    def __init__(self, reason, path=""):
        self.reason = reason
        self.path = path

    def __str__(self):
        return f"{self.reason} at ${self.path}"


cdef class Writer(Text):
    def __cinit__(self, convert):
        self.convert = convert

    cdef int write(self, object value, Level* outer) except -1:
        cdef Level level
        kind = type(value)
        if kind is str:
            return self.write_text(<str>value)
        if value is None:
            return self.put("null", 4)
        if value is True:
            return self.put("true", 4)
        if value is False:
            return self.put("false", 5)
        if kind is int:
            return self.write_int(value)
        if kind is float:
            return self.write_float(<double>value)
        if kind is dict:
            enter(&level, value, outer)
            # As the library: another thread may change it.
            return self.write_pairs(PyDict_Items(value), &level)
        if kind is list or kind is tuple:
            enter(&level, value, outer)
            return self.write_items(PySequence_Tuple(value), &level)
        return self.write_other(value, outer)

    cdef int write_text(self, str value) except -1:
        if not self.put_str(value):  # lone surrogates, which UTF-8 has no form for
            self.put_str(value.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
        return 0

    cdef int write_int(self, object value) except -1:
        if not self.put_int(value):
            # Readers keep 64 bits or fewer of a number; as text none are lost.
            self.write_text(int.__repr__(value))
        return 0

    cdef int write_float(self, double value) except -1:
        if not self.put_float(value):
            raise JSONError("JSON does not support NaN or Infinity")
        return 0

    cdef int write_pairs(self, object pairs, Level* level) except -1:
        cdef bint first = True
        cdef str name
        self.put_char(b"{")
        for key, value in pairs:
            name = <str>key if type(key) is str else self.key_text(key)
            if not first:
                self.put_char(b",")
            first = False
            self.write_text(name)
            self.put_char(b":")
            try:
                self.write(value, level)
            except JSONError as exc:
                exc.path = f".{name}{exc.path}"
                raise
        return self.put_char(b"}")

    cdef int write_items(self, object items, Level* level) except -1:
        cdef Py_ssize_t position = 0
        self.put_char(b"[")
        for value in items:
            if position:
                self.put_char(b",")
            try:
                self.write(value, level)
            except JSONError as exc:
                exc.path = f"[{position}]{exc.path}"
                raise
            position += 1
        return self.put_char(b"]")

    cdef int write_other(self, object value, Level* outer) except -1:
        cdef Level level
        if isinstance(value, str):
            return self.write_text(str.__str__(value))
        if isinstance(value, int):
            return self.write_int(value)
        if isinstance(value, float):
            return self.write_float(<double>value)
        enter(&level, value, outer)
        if isinstance(value, (list, tuple)):
            self.write_items(value, &level)
        elif isinstance(value, (bytes, bytearray, memoryview)):
            raise JSONError(f"Cannot serialize Python type to JSON: {type(value).__name__}")
        elif isinstance(value, Mapping):
            self.write_pairs(value.items(), &level)
        else:
            replaced = NotImplemented if self.convert is None else self.convert(value)
            if replaced is not NotImplemented:
                self.write(replaced, &level)
            elif hasattr(type(value), "__iter__"):
                self.write_items(value, &level)
            else:
                raise JSONError(f"Cannot serialize Python type to JSON: {type(value).__name__}")
        return 0

    cdef str key_text(self, object key):
        if isinstance(key, str):
            return str.__str__(key)
        if key is True:
            return "true"
        if key is False:
            return "false"
        if key is None:
            return "null"
        if isinstance(key, int):
            return int.__repr__(key)
        if isinstance(key, float):
            if key != key or key - key != 0:
                raise JSONError("JSON does not support NaN or Infinity")
            return float.__repr__(key)
        raise JSONError(f"Unsupported dict key type: {type(key).__name__}")


cdef int enter(Level* level, object container, Level* outer) except -1:
    cdef Level* above = outer
    while above is not NULL:
        if above.container == <void*>container:
            raise JSONError("Circular reference detected")
        above = above.outer
    level.container = <void*>container
    level.outer = outer
    level.depth = 1 if outer is NULL else outer.depth + 1
    if level.depth > DEPTH:
        raise JSONError(f"Maximum nesting depth of {DEPTH} exceeded")
    return 0


cpdef bytes dumps(object value, object convert=None):
    """The JSON text of ``value`` as UTF-8, keys in their order, without spaces.

    Integers beyond 64 bits become strings, lone surrogates U+FFFD; keys are coerced as the
    ``json`` module does; mappings and other iterables are written as objects and arrays.
    ``convert(value)`` returns a replacement for any other value, or NotImplemented. Raises
    ``JSONError``: NaN and infinities, bytes, cycles, nesting beyond 256.
    """
    cdef Writer writer = Writer(convert)
    writer.write(value, NULL)
    return writer.taken()
