# cython: language_level=3, freethreading_compatible=True
"""ASGI scopes over Granian's RSGI and ASGI scopes (ASGI 3, HTTP & WebSocket message format)."""
import logging
from urllib.parse import quote

from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Copy, PyDict_SetItem, PyDict_Update
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8String, PyUnicode_GET_LENGTH, PyUnicode_READ_CHAR
from cpython.ref cimport Py_XDECREF

cdef object logger = logging.getLogger("freelane.error")
cdef object UNFILLED = object()

# What uvicorn leaves unescaped in a path that needed no escaping (RFC 3986, 3.3).
cdef str PATH_SAFE = "/:@!$&'()*+,;=-._~"
cdef dict VERSIONS = {"1": "1.0", "1.0": "1.0", "1.1": "1.1", "2": "2", "3": "3"}
cdef dict WS_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


cdef dict HTTP_ASGI = {"version": "3.0", "spec_version": "2.3"}
cdef dict WEBSOCKET_ASGI = {"version": "3.0", "spec_version": "2.4"}
# The keys whose values are computed when they are first touched.
cdef tuple LAZY = ("asgi", "http_version", "scheme", "server", "client", "raw_path", "query_string", "headers")
# A scope before its request has said anything.
cdef dict HTTP = {
    "type": "http", "asgi": UNFILLED, "http_version": UNFILLED, "method": None, "scheme": UNFILLED,
    "server": UNFILLED, "client": UNFILLED, "root_path": "", "path": None, "raw_path": UNFILLED,
    "query_string": UNFILLED, "headers": UNFILLED, "state": None,
}
cdef dict WEBSOCKET = {
    **{key: value for key, value in HTTP.items() if key != "method"}, "type": "websocket", "subprotocols": None,
}


cpdef tuple split_address(str address):
    """``"127.0.0.1:80"``, ``"[::1]:80"`` -> ``(host, port)``; None for a Unix socket's peer."""
    cdef Py_ssize_t colon
    cdef str host
    if not address or address[0] == "/":
        return None
    colon = address.rfind(":")
    if colon < 0:
        return None
    host = address[:colon]
    if host.startswith("["):
        host = host[1:-1]
    try:
        return host, int(address[colon + 1:])
    except ValueError:
        return None


cpdef object server_address(str address):
    """As ``split_address``; a Unix socket is ``(path, None)``, as in ASGI."""
    if address and address[0] == "/":
        return address, None
    return split_address(address)


cpdef list asgi_headers(object source):
    """The RSGI scope's headers as a list of ``(name, value)`` byte pairs, Host first made up on HTTP/2."""
    cdef list pairs = []
    cdef bint host = False
    cdef str name, value, last = None
    cdef object headers = source.headers
    cdef Py_ssize_t names = 0
    for name, value in headers.items():
        if name == "host":
            host = True
        if name != last:
            names += 1
            last = name
        pairs.append((name.encode("latin-1"), value.encode("latin-1")))
    if names < len(headers):
        logger.warning(
            "RSGI did not carry the value of header %s of %s %s from %s: it is not visible ASCII. "
            "Serve this app with --transport asgi.",
            ", ".join(lost_headers(source)), source.method, source.path, source.client,
        )
    if not host:
        authority = source.authority
        if authority:
            pairs.insert(0, (b"host", authority.encode("latin-1")))
    return pairs


cpdef list lost_headers(object source):
    """Names of request headers whose value RSGI cannot carry (not visible ASCII)."""
    cdef object headers = source.headers
    return [name for name in headers.keys() if not headers.get_all(name)]


cdef class Scope(dict):
    """One request's ASGI scope over an RSGI scope.

    A real ``dict``. What costs something to compute (``LAZY``) is computed when it is first
    touched, by whatever means a dict can be touched, ``dict(scope)`` and ``{**scope}`` included.
    """

    def __init__(self, source, bint websocket, str root_path, dict state, forwarded=None):
        cdef str path = source.path
        # One copy of a table costs less than its keys one by one.
        if websocket:
            PyDict_Update(self, WEBSOCKET)
            PyDict_SetItem(self, "subprotocols", subprotocols(source))
        else:
            PyDict_Update(self, HTTP)
            PyDict_SetItem(self, "method", source.method)
        if root_path:
            PyDict_SetItem(self, "root_path", root_path)
            path = root_path + path
        PyDict_SetItem(self, "path", path)
        PyDict_SetItem(self, "state", state.copy())
        self.source = source
        self.came = path
        self.forwarded = forwarded

    @property
    def lost_headers(self):
        """Names of headers that did not come through, while the scope still knows."""
        return [] if self.source is None else lost_headers(self.source)

    cdef object fill(self):
        cdef object source
        with self.lock:
            source = self.source
            if source is None:
                return None
            for key in LAZY:
                if dict.get(self, key) is UNFILLED:
                    dict.__setitem__(self, key, self.compute(source, key))
            self.source = None

    cdef object compute(self, object source, str key):
        if key == "headers":
            return asgi_headers(source)
        if key == "query_string":
            return PyUnicode_AsUTF8String(source.query_string)  # as it came: Granian takes UTF-8 only
        if key == "http_version":
            return VERSIONS[source.http_version]
        if key == "asgi":
            version = "2.4" if dict.__getitem__(self, "type") == "websocket" else "2.3"
            return {"version": "3.0", "spec_version": version}
        if key == "server":
            return server_address(source.server)
        if key == "client" or key == "scheme":
            return self.origin(source, key)
        # Of the path as it came: what an app makes of it is its own.
        return quote(self.came, safe=PATH_SAFE).encode("ascii")

    cdef object origin(self, object source, str key):
        # Client and scheme, as the proxies in front of us may have changed them.
        cdef bint websocket = dict.__getitem__(self, "type") == "websocket"
        cdef object client = split_address(source.client)
        cdef object scheme = WS_SCHEMES[source.scheme] if websocket else source.scheme
        if self.forwarded is not None:
            client, scheme = self.forwarded(asgi_headers(source), client, scheme, websocket)
        return client if key == "client" else scheme

    cdef object touch(self, object key):
        # One key only: the others may never be asked for.
        cdef object source, value
        with self.lock:
            source = self.source
            value = dict.__getitem__(self, key)
            if value is UNFILLED:
                value = self.compute(source, key)
                dict.__setitem__(self, key, value)
            return value

    def __getitem__(self, key):
        cdef PyObject* found = NULL
        cdef object value
        if PyDict_GetItemRef(self, key, &found) == 0:
            raise KeyError(key)
        value = <object>found
        Py_XDECREF(found)
        return self.touch(key) if value is UNFILLED else value

    def get(self, key, default=None, /):
        cdef PyObject* found = NULL
        cdef object value
        if PyDict_GetItemRef(self, key, &found) == 0:
            return default
        value = <object>found
        Py_XDECREF(found)
        return self.touch(key) if value is UNFILLED else value

    def __iter__(self):
        # Overriding this alone makes dict(scope) and {**scope} take the slow, right path.
        self.fill()
        return dict.__iter__(self)

    def __reversed__(self):
        self.fill()
        return dict.__reversed__(self)

    def keys(self):
        self.fill()
        return dict.keys(self)

    def values(self):
        self.fill()
        return dict.values(self)

    def items(self):
        self.fill()
        return dict.items(self)

    def copy(self):
        """A plain, complete ``dict``."""
        self.fill()
        return dict(dict.items(self))

    __copy__ = copy

    def __reduce_ex__(self, protocol):
        return dict, (self.copy(),)

    def __deepcopy__(self, memo):
        from copy import deepcopy
        return deepcopy(self.copy(), memo)

    def pop(self, key, /, *default):
        self.fill()
        return dict.pop(self, key, *default)

    def popitem(self):
        self.fill()
        return dict.popitem(self)

    def setdefault(self, key, default=None, /):
        self.fill()
        return dict.setdefault(self, key, default)

    def __or__(self, other):
        if not isinstance(self, dict) or not isinstance(other, dict):
            return NotImplemented
        merged = dict(self)
        merged.update(other)
        return merged

    def __ror__(self, other):
        if not isinstance(other, dict):
            return NotImplemented
        merged = dict(other)
        merged.update(self)
        return merged

    def __eq__(self, other):
        self.fill()
        if isinstance(other, Scope):
            (<Scope>other).fill()
        return dict.__eq__(self, other)

    def __ne__(self, other):
        return not self == other

    __hash__ = None

    def __repr__(self):
        return repr(self.copy())


cpdef list subprotocols(object source):
    """The tokens of every Sec-WebSocket-Protocol header (RFC 6455, 11.3.4)."""
    cdef list names = []
    for value in source.headers.get_all("sec-websocket-protocol"):
        names.extend([token.strip() for token in value.split(",")])
    return names


cpdef dict complete_scope(dict scope, str root_path, dict state):
    """Bring a scope made by Granian's ASGI worker to what ASGI 3 asks for, in place."""
    cdef bint websocket = (<str>scope["type"]) == "websocket"
    cdef str version = <str>scope["http_version"]
    cdef tuple address = <tuple>scope["client"]
    cdef str host = <str>address[0]
    cdef list headers = <list>scope["headers"]
    scope["client"] = (host, port_of(<str>address[1])) if first_of(host) != 47 and host else None
    address = <tuple>scope["server"]
    host = <str>address[0]
    scope["server"] = (host, None) if first_of(host) == 47 else (host, port_of(<str>address[1])) if host else None
    scope["http_version"] = version if version == "1.1" else VERSIONS[version]
    scope["asgi"] = PyDict_Copy(WEBSOCKET_ASGI if websocket else HTTP_ASGI)
    if PyList_GET_SIZE(headers) and is_no_host(<tuple>headers[0]) and first_of(version) == 49:
        # Granian makes up what HTTP/1 clients did not send (RFC 9112, 3.2).
        del headers[0]
    if websocket:
        scope["extensions"] = {"websocket.http.response": {}}
    else:
        del scope["extensions"]
    if root_path:
        scope["path"] = root_path + scope["path"]
        scope["raw_path"] = root_path.encode("ascii") + scope["raw_path"]
    scope["root_path"] = root_path
    scope["state"] = state.copy()
    return scope


cdef inline Py_UCS4 first_of(str text):
    return PyUnicode_READ_CHAR(text, 0) if PyUnicode_GET_LENGTH(text) else 0


cdef object port_of(str text):
    # Granian makes it of a number.
    cdef long port = 0
    cdef Py_ssize_t at
    cdef long digit
    for at in range(PyUnicode_GET_LENGTH(text)):
        digit = <long>PyUnicode_READ_CHAR(text, at) - 48
        if not 0 <= digit <= 9 or port > 65535:
            return int(text)
        port = port * 10 + digit
    return port


cdef inline bint is_no_host(tuple pair):
    return PyBytes_GET_SIZE(pair[1]) == 0 and <bytes>pair[0] == b"host"


cdef bint is_forwarded(list headers):
    """Whether a proxy says whose request it is: X-Forwarded-For or X-Forwarded-Proto is there."""
    cdef Py_ssize_t size
    cdef tuple pair
    cdef bytes name
    for pair in headers:
        name = <bytes>pair[0]
        size = PyBytes_GET_SIZE(name)
        if size == 15 and name == b"x-forwarded-for" or size == 17 and name == b"x-forwarded-proto":
            return True
    return False
