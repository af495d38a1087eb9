# cython: language_level=3, freethreading_compatible=True
"""Checks and conversions of response headers (RFC 9110, 5.1 and 5.5)."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeLatin1

# RFC 9110, 5.6.2: the characters of a token.
cdef unsigned char TOKEN[256]
cdef int index
for index in range(256):
    TOKEN[index] = 0
for index in b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz":
    TOKEN[index] = 1


cpdef list check_headers(object headers):
    """``(name, value)`` byte pairs with names in lower case.

    Raises RuntimeError for a name that is no token or a value with control characters:
    the server below would drop such a header silently.
    """
    cdef list checked = []
    cdef bytes name, value
    cdef unsigned char* text
    cdef Py_ssize_t i, size
    cdef bint upper
    for raw_name, raw_value in headers:
        name = raw_name if type(raw_name) is bytes else bytes(memoryview(raw_name))
        value = raw_value if type(raw_value) is bytes else bytes(memoryview(raw_value))
        size = PyBytes_GET_SIZE(name)
        text = <unsigned char*>PyBytes_AS_STRING(name)
        if size == 0:
            raise RuntimeError("Invalid HTTP header name.")
        upper = False
        for i in range(size):
            if not TOKEN[text[i]]:
                raise RuntimeError("Invalid HTTP header name.")
            upper |= 65 <= text[i] <= 90
        size = PyBytes_GET_SIZE(value)
        text = <unsigned char*>PyBytes_AS_STRING(value)
        for i in range(size):
            if text[i] < 32 and text[i] != 9 or text[i] == 127:
                raise RuntimeError("Invalid HTTP header value.")
        checked.append((name.lower() if upper else name, value))
    return checked


cdef long long content_length(list headers) except? -2:
    """The first Content-Length of checked headers; -1 where there is none."""
    cdef bytes name, value
    for name, value in headers:
        if PyBytes_GET_SIZE(name) == 14 and name == b"content-length":
            return int(value)
    return -1


cpdef list text_headers(list headers):
    """The same pairs as ``str``, which is what RSGI takes.

    Raises RuntimeError for a value that is not ASCII: RSGI cannot carry it.
    """
    cdef list pairs = []
    cdef bytes name, value
    cdef unsigned char* text
    cdef Py_ssize_t i, size
    for name, value in headers:
        size = PyBytes_GET_SIZE(value)
        text = <unsigned char*>PyBytes_AS_STRING(value)
        for i in range(size):
            if text[i] > 126:
                raise RuntimeError(
                    f"The value of response header '{name.decode('ascii')}' is not ASCII, which RSGI cannot carry. "
                    "Serve this app with --transport asgi."
                )
        pairs.append((
            PyUnicode_DecodeLatin1(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), NULL),
            PyUnicode_DecodeLatin1(<char*>text, size, NULL),
        ))
    return pairs
