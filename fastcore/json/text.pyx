# cython: language_level=3, freethreading_compatible=True
"""The text of JSON's leaves (RFC 8259), as both the standard library and pydantic write them."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.string cimport memcpy, strlen

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
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
cdef const char* HEXADECIMAL = "0123456789abcdef"


cdef class Text:
    """A buffer, and what writes leaves into it."""

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

    cdef int put_bytes(self, bytes text) except -1:
        return self.put(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))

    cdef int put_quoted(self, const unsigned char* text, Py_ssize_t size) except -1:
        cdef Py_ssize_t i = 0, start = 0
        cdef unsigned char escape
        cdef char* to
        self.reserve(size + 2)
        self.data[self.size] = b'"'
        self.size += 1
        while i < size:
            escape = ESCAPE[text[i]]
            if escape:
                self.put(<const char*>text + start, i - start)
                self.reserve(6)
                to = self.data + self.size
                to[0] = b"\\"
                if escape == 1:
                    to[1], to[2], to[3] = b"u", b"0", b"0"
                    to[4], to[5] = HEXADECIMAL[text[i] >> 4], HEXADECIMAL[text[i] & 15]
                    self.size += 6
                else:
                    to[1] = <char>escape
                    self.size += 2
                start = i + 1
            i += 1
        self.put(<const char*>text + start, size - start)
        return self.put_char(b'"')

    cdef bint put_str(self, str value) except -1:
        cdef Py_ssize_t size = 0
        cdef const char* text
        if PyUnicode_IS_COMPACT_ASCII(value):
            self.put_quoted(<const unsigned char*>PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value))
            return True
        try:
            text = PyUnicode_AsUTF8AndSize(value, &size)
        except UnicodeEncodeError:
            return False
        self.put_quoted(<const unsigned char*>text, size)
        return True

    cdef bint put_int(self, object value) except -1:
        cdef int overflow = 0
        cdef long long number = PyLong_AsLongLongAndOverflow(value, &overflow)
        cdef unsigned long long rest
        cdef char text[20]
        cdef int start = 20
        if overflow:
            return False
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
        self.put(text + start, 20 - start)
        return True

    cdef bint put_float(self, double value) except -1:
        cdef char* text
        if value != value or value - value != 0:
            return False
        text = PyOS_double_to_string(value, b"r", 0, Py_DTSF_ADD_DOT_0, NULL)
        try:
            self.put(text, strlen(text))
        finally:
            PyMem_Free(text)
        return True

    cdef bytes taken(self):
        """All that was written."""
        return PyBytes_FromStringAndSize(self.data, self.size)
