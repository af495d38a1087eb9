# cython: language_level=3, freethreading_compatible=True
"""The binary protocol between the server and a lane process, over a Unix stream socket.

Version 1. Integers are little-endian: both ends are on one machine. Grammar (RFC 5234):

    connection = *frame
    frame      = version kind flags reserved stream length payload
    version    = %x01                 ; u8
    kind       = u8                   ; below
    flags      = u8                   ; END; TEXT of a MESSAGE, SOON of a RESPONSE
    reserved   = %x00                 ; u8
    stream     = u32                  ; one request or WebSocket; 0 is the connection itself
    length     = u32                  ; of the payload, at most LIMITS[kind]

    ; kind        from    payload
    READY      =  lane    ""                     ; the app has started
    FAILED     =  lane    *OCTET                 ; why it has not, UTF-8
    REQUEST    =  server  scope *OCTET           ; what follows the scope is the body's beginning
    RESPONSE   =  lane    u16 headers *OCTET     ; status; then the body's beginning
    BODY       =  both    *OCTET                 ; of the request's or the response's body
    ACCEPT     =  lane    blob8 headers          ; a WebSocket's subprotocol, empty for none
    MESSAGE    =  both    *OCTET                 ; (a part of) a WebSocket message; TEXT or binary
    CLOSE      =  both    u16 *OCTET             ; a WebSocket's close code and reason, UTF-8
    CREDIT     =  both    u32                    ; so many more bytes of the stream may come
    RESET      =  both    ""                     ; the stream is over, unfinished
    PING       =  server  u32
    PONG       =  lane    u32                    ; what the ping had
    GOAWAY     =  server  ""                     ; finish what runs, then exit
    ROUTE      =  server  u32 blob32 *OCTET      ; one route's turn: its number, its scope; then as REQUEST
    SCOPE      =  lane    *OCTET                 ; what a route changed of its scope
    RAISED     =  lane    *OCTET                 ; a route is over, unfinished: an exception, or none

    scope      = type http-version blob8 blob8 peer peer blob32 blob32 blob32 blob32 headers names denial
                                      ; method scheme client server path raw_path root_path query
    type       = %x00 / %x01          ; http, websocket
    http-version = u8                 ; index into "1.0" "1.1" "2" "3"
    peer       = %x00 / %x01 blob16 u32    ; no port is %xFFFFFFFF
    headers    = u16 *(blob16 blob32) ; so many names and values
    names      = u16 *blob16          ; a WebSocket's subprotocols
    denial     = %x00 / %x01          ; whether a WebSocket may be denied with a response
    blobN      = length *OCTET        ; length is uN

END ends a body or a message; SOON says that one BODY with the whole response body follows.
A message of several parts has TEXT on each. A stream begins with a REQUEST or ROUTE of a number
not used before on the connection, and is over when both bodies have ended, with CLOSE, RAISED or RESET; frames of
a stream that is over are ignored.

Flow control: BODY and MESSAGE frames use up credit, their heads included, WINDOW bytes to
begin with. A sender may send while its credit is above zero, and one frame may take it below: a whole body
up to MAX_CHUNK goes in one frame, and a receiver holds at most WINDOW + MAX_CHUNK of a stream.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

VERSION = 1
READY, FAILED, REQUEST, RESPONSE, BODY, ACCEPT, MESSAGE, CLOSE, CREDIT, RESET, PING, PONG, GOAWAY = range(1, 14)
ROUTE, SCOPE, RAISED = range(14, 17)
END, TEXT, SOON = 1, 2, 2

# Bytes.
WINDOW = 1 << 20
MAX_CHUNK = 16 << 20
MAX_HEAD = 1 << 20
MAX_INLINE = 1 << 16
MAX_REASON = 1 << 16
# Of a WebSocket message in several frames.
MAX_MESSAGE = 64 << 20

LIMITS = {
    READY: 0, FAILED: MAX_REASON, REQUEST: MAX_HEAD + MAX_INLINE, RESPONSE: MAX_HEAD + MAX_INLINE,
    BODY: MAX_CHUNK, ACCEPT: MAX_HEAD, MESSAGE: MAX_CHUNK, CLOSE: 2 + 255, CREDIT: 4, RESET: 0,
    PING: 4, PONG: 4, GOAWAY: 0, ROUTE: MAX_HEAD + MAX_INLINE, SCOPE: MAX_HEAD, RAISED: MAX_HEAD,
}
EXACT = (READY, CREDIT, RESET, PING, PONG, GOAWAY)
FROM_LANE = (READY, FAILED, RESPONSE, BODY, ACCEPT, MESSAGE, CLOSE, CREDIT, RESET, PONG, SCOPE, RAISED)
FROM_SERVER = (REQUEST, BODY, MESSAGE, CLOSE, CREDIT, RESET, PING, GOAWAY, ROUTE)

HEADER_SIZE = 12

cdef enum:
    HEADER = 12
    KINDS = 17

cdef uint32_t[KINDS] MOST
cdef uint32_t[KINDS] LEAST
for _kind in range(KINDS):
    MOST[_kind] = LIMITS.get(_kind, 0)
    LEAST[_kind] = MOST[_kind] if _kind in EXACT else 2 if _kind == CLOSE else 0

VERSIONS = ("1.0", "1.1", "2", "3")
cdef uint32_t NO_PORT = 0xFFFFFFFF


class ProtocolError(Exception):
    """The other end sent what the grammar has not; the connection is of no more use."""


cdef inline void put8(unsigned char** at, uint8_t value) noexcept:
    at[0][0] = value
    at[0] += 1

cdef inline void put16(unsigned char** at, uint16_t value) noexcept:
    at[0][0] = value & 0xFF
    at[0][1] = value >> 8
    at[0] += 2

cdef inline void put32(unsigned char** at, uint32_t value) noexcept:
    at[0][0] = value & 0xFF
    at[0][1] = (value >> 8) & 0xFF
    at[0][2] = (value >> 16) & 0xFF
    at[0][3] = value >> 24
    at[0] += 4

cdef inline void put_bytes(unsigned char** at, bytes data) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    memcpy(at[0], PyBytes_AS_STRING(data), size)
    at[0] += size

cdef inline void put_head(unsigned char** at, int kind, int flags, uint32_t stream, uint32_t length) noexcept:
    put8(at, 1)
    put8(at, kind)
    put8(at, flags)
    put8(at, 0)
    put32(at, stream)
    put32(at, length)

cpdef bytes frame(int kind, int flags, uint32_t stream, bytes payload):
    """One whole frame. Raises ValueError beyond the kind's limit."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
    check_length(kind, size)
    cdef bytes made = PyBytes_FromStringAndSize(NULL, HEADER + size)
    cdef unsigned char* at = <unsigned char*>PyBytes_AS_STRING(made)
    put_head(&at, kind, flags, stream, size)
    put_bytes(&at, payload)
    return made

cpdef bytes frame_head(int kind, int flags, uint32_t stream, Py_ssize_t length):
    """The first 12 bytes of a frame whose payload of ``length`` bytes is sent from where it is."""
    check_length(kind, length)
    cdef bytes made = PyBytes_FromStringAndSize(NULL, HEADER)
    cdef unsigned char* at = <unsigned char*>PyBytes_AS_STRING(made)
    put_head(&at, kind, flags, stream, length)
    return made

cdef int check_length(int kind, Py_ssize_t length) except -1:
    if kind < 1 or kind >= KINDS:
        raise ValueError(f"no frame kind {kind}")
    if length > MOST[kind] or length < LEAST[kind]:
        raise ValueError(f"a frame of kind {kind} cannot hold {length} bytes: it holds {LEAST[kind]} to {MOST[kind]}")
    return 0

def number_frame(int kind, uint32_t stream, uint32_t number):
    """A CREDIT, PING or PONG frame."""
    cdef bytes made = PyBytes_FromStringAndSize(NULL, HEADER + 4)
    cdef unsigned char* at = <unsigned char*>PyBytes_AS_STRING(made)
    check_length(kind, 4)
    put_head(&at, kind, 0, stream, 4)
    put32(&at, number)
    return made

def close_payload(int code, str reason):
    """What a CLOSE holds; the reason is cut at the 123 bytes of RFC 6455, 5.5."""
    cdef bytes text = reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore").encode()
    return (code & 0xFFFF).to_bytes(2, "little") + text

def close_frame(uint32_t stream, int code, str reason):
    """A CLOSE frame."""
    return frame(CLOSE, 0, stream, close_payload(code, reason))

def soon(bytes response):
    """A RESPONSE frame with its SOON flag set."""
    return response[:2] + bytes((response[2] | SOON,)) + response[3:]

def join_message(list parts, int flags, bytes data):
    """The whole message once its last part is there, else None; ``parts`` keeps the others.

    Raises ProtocolError beyond MAX_MESSAGE.
    """
    if flags & END and not parts:
        return data
    parts.append(data)
    if sum(map(len, parts)) > MAX_MESSAGE:
        raise ProtocolError(f"a message of more than {MAX_MESSAGE} bytes")
    if not flags & END:
        return None
    whole = b"".join(parts)
    parts.clear()
    return whole

cdef Py_ssize_t headers_size(list pairs) except -1:
    cdef Py_ssize_t size = 2
    cdef bytes name, value
    if len(pairs) > 0xFFFF:
        raise ValueError(f"{len(pairs)} headers are more than the gil lane carries")
    for pair in pairs:
        name, value = <tuple?>pair
        if PyBytes_GET_SIZE(name) > 0xFFFF:
            raise ValueError("a header's name is longer than the gil lane carries")
        size += 6 + PyBytes_GET_SIZE(name) + PyBytes_GET_SIZE(value)
    return size

cdef void put_headers(unsigned char** at, list pairs) noexcept:
    cdef bytes name, value
    put16(at, len(pairs))
    for pair in pairs:
        name = <bytes>(<tuple>pair)[0]
        value = <bytes>(<tuple>pair)[1]
        put16(at, PyBytes_GET_SIZE(name))
        put_bytes(at, name)
        put32(at, PyBytes_GET_SIZE(value))
        put_bytes(at, value)

cdef bytes utf8(object text, Py_ssize_t limit):
    cdef bytes data = text if type(text) is bytes else (<str?>text).encode("utf-8", "surrogatepass")
    if PyBytes_GET_SIZE(data) > limit:
        raise ValueError("part of the request is longer than the gil lane carries")
    return data

cdef Py_ssize_t peer_size(bytes host) noexcept:
    return 1 if host is None else 1 + 2 + PyBytes_GET_SIZE(host) + 4

cdef void put_peer(unsigned char** at, bytes host, uint32_t port) noexcept:
    put8(at, host is not None)
    if host is not None:
        put16(at, PyBytes_GET_SIZE(host))
        put_bytes(at, host)
        put32(at, port)

cdef uint32_t peer_port(object peer) except? 0xFFFFFFFF:
    return NO_PORT if peer[1] is None else <uint32_t>peer[1]

cpdef bytes encode_request(uint32_t stream, scope, bytes body, bint end):
    """A REQUEST frame for an ASGI scope (without its ``state`` and what the server added).

    ``body`` is at most MAX_INLINE bytes. Raises ValueError for a scope beyond MAX_HEAD.
    """
    cdef bint websocket = scope["type"] == "websocket"
    cdef bytes method = b"" if websocket else utf8(scope["method"], 0xFF)
    cdef bytes scheme = utf8(scope["scheme"], 0xFF)
    cdef object client = scope["client"], server = scope["server"]
    cdef bytes client_host = None if client is None else utf8(client[0], 0xFFFF)
    cdef bytes server_host = None if server is None else utf8(server[0], 0xFFFF)
    cdef uint32_t client_port = 0 if client is None else peer_port(client)
    cdef uint32_t server_port = 0 if server is None else peer_port(server)
    cdef bytes path = utf8(scope["path"], MAX_HEAD)
    cdef bytes raw_path = scope["raw_path"]
    cdef bytes root_path = utf8(scope["root_path"], MAX_HEAD)
    cdef bytes query = scope["query_string"]
    cdef list headers = scope["headers"]
    cdef list names = [utf8(item, 0xFFFF) for item in scope["subprotocols"]] if websocket else []
    cdef int version = VERSIONS.index(scope["http_version"])
    cdef Py_ssize_t size = (
        2 + 1 + PyBytes_GET_SIZE(method) + 1 + PyBytes_GET_SIZE(scheme)
        + peer_size(client_host) + peer_size(server_host)
        + 16 + PyBytes_GET_SIZE(path) + PyBytes_GET_SIZE(raw_path) + PyBytes_GET_SIZE(root_path)
        + PyBytes_GET_SIZE(query) + headers_size(headers) + 2 + 1
    )
    cdef bytes name, made
    cdef unsigned char* at
    for name in names:
        size += 2 + PyBytes_GET_SIZE(name)
    if size > MAX_HEAD or len(names) > 0xFFFF:
        raise ValueError("the request's head is longer than the gil lane carries")
    if PyBytes_GET_SIZE(body) > MAX_INLINE:
        raise ValueError("a body this long goes into frames of its own")
    made = PyBytes_FromStringAndSize(NULL, HEADER + size + PyBytes_GET_SIZE(body))
    at = <unsigned char*>PyBytes_AS_STRING(made)
    put_head(&at, REQUEST, END if end else 0, stream, size + PyBytes_GET_SIZE(body))
    put8(&at, websocket)
    put8(&at, version)
    put8(&at, PyBytes_GET_SIZE(method))
    put_bytes(&at, method)
    put8(&at, PyBytes_GET_SIZE(scheme))
    put_bytes(&at, scheme)
    put_peer(&at, client_host, client_port)
    put_peer(&at, server_host, server_port)
    for part in (path, raw_path, root_path, query):
        put32(&at, PyBytes_GET_SIZE(<bytes>part))
        put_bytes(&at, <bytes>part)
    put_headers(&at, headers)
    put16(&at, len(names))
    for name in names:
        put16(&at, PyBytes_GET_SIZE(name))
        put_bytes(&at, name)
    put8(&at, websocket and "websocket.http.response" in scope.get("extensions", ()))
    put_bytes(&at, body)
    return made

cpdef bytes encode_route(uint32_t stream, uint32_t route, bytes scope, bytes body, bint end):
    """A ROUTE frame with a packed ``scope``; ``body`` is at most MAX_INLINE bytes. Raises ValueError beyond a limit."""
    cdef Py_ssize_t size = 8 + PyBytes_GET_SIZE(scope)
    cdef bytes made
    cdef unsigned char* at
    if size > MAX_HEAD or PyBytes_GET_SIZE(body) > MAX_INLINE:
        raise ValueError("the request's scope is longer than the gil lane carries")
    made = PyBytes_FromStringAndSize(NULL, HEADER + size + PyBytes_GET_SIZE(body))
    at = <unsigned char*>PyBytes_AS_STRING(made)
    put_head(&at, ROUTE, END if end else 0, stream, size + PyBytes_GET_SIZE(body))
    put32(&at, route)
    put32(&at, PyBytes_GET_SIZE(scope))
    put_bytes(&at, scope)
    put_bytes(&at, body)
    return made

cpdef bytes encode_response(uint32_t stream, int status, list headers, bytes body, bint end):
    """A RESPONSE frame; ``body`` is at most MAX_INLINE bytes. Raises ValueError beyond a limit."""
    cdef Py_ssize_t size = 2 + headers_size(headers)
    cdef bytes made
    cdef unsigned char* at
    if size > MAX_HEAD or not 0 <= status <= 0xFFFF or PyBytes_GET_SIZE(body) > MAX_INLINE:
        raise ValueError("the response's head is longer than the gil lane carries")
    made = PyBytes_FromStringAndSize(NULL, HEADER + size + PyBytes_GET_SIZE(body))
    at = <unsigned char*>PyBytes_AS_STRING(made)
    put_head(&at, RESPONSE, END if end else 0, stream, size + PyBytes_GET_SIZE(body))
    put16(&at, status)
    put_headers(&at, headers)
    put_bytes(&at, body)
    return made

def encode_accept(uint32_t stream, subprotocol, list headers):
    """An ACCEPT frame; ``subprotocol`` is a str or None."""
    cdef bytes name = b"" if subprotocol is None else utf8(subprotocol, 0xFF)
    cdef Py_ssize_t size = 1 + PyBytes_GET_SIZE(name) + headers_size(headers)
    if size > MAX_HEAD:
        raise ValueError("the handshake's headers are longer than the gil lane carries")
    cdef bytes made = PyBytes_FromStringAndSize(NULL, HEADER + size)
    cdef unsigned char* at = <unsigned char*>PyBytes_AS_STRING(made)
    put_head(&at, ACCEPT, 0, stream, size)
    put8(&at, PyBytes_GET_SIZE(name))
    put_bytes(&at, name)
    put_headers(&at, headers)
    return made


cpdef bint has_body(scope) except -1:
    """Whether a request may have a body (RFC 9112, 6.3; in HTTP/2 a length may be missing)."""
    cdef list headers = scope["headers"]
    cdef tuple pair
    for pair in headers:
        if pair[0] == b"content-length":
            return pair[1] != b"0"
        if pair[0] == b"transfer-encoding":
            return True
    return scope["http_version"] not in ("1.0", "1.1") and scope["method"] not in ("GET", "HEAD")
