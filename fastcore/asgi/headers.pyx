# cython: language_level=3, freethreading_compatible=True
"""Checks and conversions of a response's status and headers (RFC 9110, 5.1, 5.5 and 15).

Granian ends the whole process for a status that is no status and for more headers than its
table holds: nothing that an app sends may reach it without passing here.
"""
from urllib.parse import quote

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeLatin1

# RFC 9110, 5.6.2: the characters of a token.
cdef unsigned char TOKEN[256]
cdef int index
for index in range(256):
    TOKEN[index] = 0
for index in b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz":
    TOKEN[index] = 1


# Granian's table takes 24,576 names, some of which are its own; a name has 64 KiB at most.
cdef Py_ssize_t MAX_HEADERS = 24_000
cdef Py_ssize_t MAX_NAME = 65_535
# What a URI may have as it is (RFC 3986, 2).
cdef str URI = "%:/?#[]@!$&'()*+,;=-._~ \t"
cdef frozenset STATUSES = frozenset(range(100, 600))


cpdef int check_status(object status) except -1:
    """A response's status code. Raises RuntimeError for what is none: uvicorn has 100 to 599."""
    if type(status) is not int and status in STATUSES:
        status = int(status)  # an HTTPStatus, for one
    if type(status) is not int or not 100 <= status <= 599:
        raise RuntimeError(f"Invalid HTTP status code: {status!r}.")
    return status


cdef int check_limits(int status, Py_ssize_t headers) except -1:
    """Raises RuntimeError for what ends Granian, of a status and a number of headers."""
    if not 100 <= status <= 999:
        raise RuntimeError(f"Invalid HTTP status code {status}.")
    if headers > MAX_HEADERS:
        raise RuntimeError(f"A response can have {MAX_HEADERS} headers, not {headers}.")
    return 0


cpdef list check_headers(object headers):
    """``(name, value)`` byte pairs with names in lower case.

    Raises RuntimeError for a name that is no token, a value with control characters, or more
    headers than the server below takes: it would drop them silently, or end.
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
        if not 0 < size <= MAX_NAME:
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
    check_limits(200, len(checked))
    return checked


cdef long long take_framing(list headers) except? -3:
    """The length that checked headers give the body; UNSAID, or CHUNKED where they ask for that.

    What remains in ``headers`` is what the server below, which frames by itself, may be given:
    no Transfer-Encoding, and one Content-Length unless chunked (RFC 9112, 6.3). Raises
    ValueError for a length that is no number, RuntimeError for lengths that differ.
    """
    cdef bytes name, value
    cdef long long length = UNSAID, other
    cdef Py_ssize_t size
    cdef bint chunked = False, rewrite = False
    for name, value in headers:
        size = PyBytes_GET_SIZE(name)
        if size == 14 and name == b"content-length":
            other = int(value)
            if other < 0:
                raise RuntimeError("Invalid Content-Length.")
            if length == UNSAID:
                length = other
                rewrite |= not value.isdigit()
            elif length != other:
                raise RuntimeError(f"Two Content-Length headers differ: {length} and {other}.")
            else:
                rewrite = True
        elif size == 17 and name == b"transfer-encoding":
            rewrite = True
            chunked |= value.lower() == b"chunked"
    if rewrite:
        headers[:] = [pair for pair in headers if pair[0] not in (b"transfer-encoding", b"content-length")]
        if length != UNSAID and not chunked:
            headers.append((b"content-length", b"%d" % length))
    return CHUNKED if chunked else length


cpdef list text_headers(list headers):
    """The same pairs as ``str``, which is what RSGI takes; a Location that is not ASCII percent-encoded.

    Raises RuntimeError for another value that is not ASCII: RSGI cannot carry it.
    """
    cdef list pairs = []
    cdef bytes name, value
    cdef unsigned char* text
    cdef Py_ssize_t i, size
    for name, value in headers:
        if name == b"location":
            value = quote(value, safe=URI).encode("ascii")
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


cpdef bytes find_header(object headers, bytes wanted):
    """The first value of a header, whose name is in lower case as in ASGI; None where there is none."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(wanted)
    for name, value in headers:
        if type(name) is bytes and PyBytes_GET_SIZE(name) == size and name == wanted:
            return value
    return None


cpdef bint has_any(object headers, set names) except -1:
    """Whether a header has one of ``names``."""
    for name, _ in headers:
        if name in names:
            return True
    return False
