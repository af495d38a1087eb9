# cython: language_level=3, freethreading_compatible=True
"""Query strings (WHATWG URL, application/x-www-form-urlencoded)."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_SetItem
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.string cimport memchr
from urllib.parse import parse_qsl


cpdef dict last_values(bytes query):
    """Name -> last value, as ``dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))``."""
    cdef dict values = {}
    cdef const char* text = PyBytes_AS_STRING(query)
    cdef const char* end = text + PyBytes_GET_SIZE(query)
    cdef const char* stop
    cdef const char* equals
    if memchr(text, c"%", end - text) != NULL or memchr(text, c"+", end - text) != NULL:
        return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    while text < end:
        stop = <const char*>memchr(text, c"&", end - text)
        if stop == NULL:
            stop = end
        if stop > text:
            equals = <const char*>memchr(text, c"=", stop - text)
            if equals == NULL:
                PyDict_SetItem(values, PyUnicode_DecodeLatin1(text, stop - text, NULL), "")
            else:
                PyDict_SetItem(
                    values,
                    PyUnicode_DecodeLatin1(text, equals - text, NULL),
                    PyUnicode_DecodeLatin1(equals + 1, stop - equals - 1, NULL),
                )
        text = stop + 1
    return values
