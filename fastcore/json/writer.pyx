# cython: language_level=3, freethreading_compatible=True
"""JSON (RFC 8259) of Python values, with errors that say where in the value they are."""
from collections.abc import Mapping

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdio cimport snprintf
from libc.string cimport memcpy, strlen

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    char* PyOS_double_to_string(double value, char code, int precision, int flags, int* kind) except NULL
    int Py_DTSF_ADD_DOT_0

# What follows a backslash for a byte that cannot stand for itself; 1 asks for \u00XX.
cdef unsigned char ESCAPE[256]
cdef int index
for index in range(256):
    ESCAPE[index] = 1 if index < 32 else 0
ESCAPE[8] = b"b"
ESCAPE[9] = b"t"
ESCAPE[10] = b"n"
ESCAPE[12] = b"f"
ESCAPE[13] = b"r"
ESCAPE[34] = b'"'
ESCAPE[92] = b"\\"


class JSONError(ValueError):
    """A value that JSON cannot carry; ``path`` is a JSONPath such as ``$.users[0].score``."""

    def __init__(self, reason, path=""):
        self.reason = reason
        self.path = path

    def __str__(self):
        return f"{self.reason} at ${self.path}"


cdef class Writer:
    def __cinit__(self, convert):
        self.convert = convert

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef int reserve(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t capacity
        cdef char* data
        if self.size + more <= self.capacity:
            return 0
        capacity = max(self.size + more, self.capacity * 2, 256)
        data = <char*>PyMem_Realloc(self.data, capacity)
        if data is NULL:
            raise MemoryError()
        self.data = data
        self.capacity = capacity
        return 0

    cdef int put(self, const char* text, Py_ssize_t size) except -1:
        self.reserve(size)
        memcpy(self.data + self.size, text, size)
        self.size += size
        return 0

    cdef int put_char(self, char letter) except -1:
        self.reserve(1)
        self.data[self.size] = letter
        self.size += 1
        return 0

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
            return self.write_pairs((<dict>value).items(), &level)
        if kind is list or kind is tuple:
            enter(&level, value, outer)
            return self.write_items(value, &level)
        return self.write_other(value, outer)

    cdef int write_text(self, str value) except -1:
        cdef Py_ssize_t size = 0, i = 0, start = 0
        cdef const unsigned char* text
        cdef unsigned char escape
        cdef char hexadecimal[7]
        try:
            text = <const unsigned char*>PyUnicode_AsUTF8AndSize(value, &size)
        except UnicodeEncodeError:  # lone surrogates, which UTF-8 has no form for
            value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            text = <const unsigned char*>PyUnicode_AsUTF8AndSize(value, &size)
        self.reserve(size + 2)
        self.put_char(b'"')
        while i < size:
            escape = ESCAPE[text[i]]
            if escape:
                self.put(<const char*>text + start, i - start)
                if escape == 1:
                    snprintf(hexadecimal, 7, "\\u%04x", <int>text[i])
                    self.put(hexadecimal, 6)
                else:
                    self.put_char(b"\\")
                    self.put_char(<char>escape)
                start = i + 1
            i += 1
        self.put(<const char*>text + start, size - start)
        return self.put_char(b'"')

    cdef int write_int(self, object value) except -1:
        cdef int overflow = 0
        cdef long long number = PyLong_AsLongLongAndOverflow(value, &overflow)
        cdef unsigned long long rest
        cdef char text[20]
        cdef int start = 20
        if overflow:
            # Readers keep 64 bits or fewer of a number; as text none are lost.
            return self.write_text(int.__repr__(value))
        rest = -<unsigned long long>number if number < 0 else <unsigned long long>number
        while True:
            start -= 1
            text[start] = <char>(48 + rest % 10)
            rest //= 10
            if rest == 0:
                break
        if number < 0:
            start -= 1
            text[start] = 45  # -
        return self.put(text + start, 20 - start)

    cdef int write_float(self, double value) except -1:
        cdef char* text
        if value != value or value - value != 0:
            raise JSONError("JSON does not support NaN or Infinity")
        text = PyOS_double_to_string(value, b"r", 0, Py_DTSF_ADD_DOT_0, NULL)
        try:
            return self.put(text, strlen(text))
        finally:
            PyMem_Free(text)

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
    return PyBytes_FromStringAndSize(writer.data, writer.size)
