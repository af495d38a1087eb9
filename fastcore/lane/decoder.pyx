# cython: language_level=3, freethreading_compatible=True
"""Reading what the other end of a lane's connection sent: bytes into frames, payloads into values.

The grammar is in fastcore/lane/protocol.pyx; whatever does not fit it is a ProtocolError.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

from freelane.fastcore.lane.protocol import CLOSE, EXACT, LIMITS, VERSIONS, ProtocolError

cdef extern from "<sys/socket.h>" nogil:
    ssize_t c_recv "recv"(int fd, void* data, size_t size, int flags)
    int MSG_DONTWAIT

cdef enum:
    HEADER = 12
    KINDS = 17
    SCRATCH = 1 << 16
    # A payload above this is read into its own object.
    LARGE = 1 << 14
    # What one read takes from the socket before others get their turn.
    TURN = 4 << 20

cdef uint32_t[KINDS] MOST
cdef uint32_t[KINDS] LEAST
for _kind in range(KINDS):
    MOST[_kind] = LIMITS.get(_kind, 0)
    LEAST[_kind] = MOST[_kind] if _kind in EXACT else 2 if _kind == CLOSE else 0

cdef uint32_t NO_PORT = 0xFFFFFFFF


cdef class Reader:
    def __cinit__(self, bytes data not None):
        self.data = data
        self.at = <const unsigned char*>PyBytes_AS_STRING(data)
        self.left = PyBytes_GET_SIZE(data)

    cdef uint32_t number(self, int size) except? 0xFFFFFFFF:
        cdef uint32_t value = 0
        cdef int i
        if size > self.left:
            raise ProtocolError("a frame ends in mid-field")
        for i in range(size):
            value |= <uint32_t>self.at[i] << (8 * i)
        self.at += size
        self.left -= size
        return value

    cdef bytes blob(self, int size):
        cdef Py_ssize_t length = self.number(size)
        cdef bytes made
        if length > self.left:
            raise ProtocolError("a frame ends in mid-field")
        made = PyBytes_FromStringAndSize(<const char*>self.at, length)
        self.at += length
        self.left -= length
        return made

    cdef str text(self, int size):
        try:
            return self.blob(size).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise ProtocolError("text that is not UTF-8") from None

    cdef object peer(self):
        cdef uint32_t port
        cdef int there = self.number(1)
        if there > 1:
            raise ProtocolError("an unknown kind of peer")
        if not there:
            return None
        host = self.text(2)
        port = self.number(4)
        return host, None if port == NO_PORT else port

    cdef list pairs(self):
        cdef list made = []
        cdef bytes name
        cdef uint32_t count = self.number(2), _
        for _ in range(count):
            name = self.blob(2)
            made.append((name, self.blob(4)))
        return made

    cdef bytes rest(self):
        cdef bytes made = PyBytes_FromStringAndSize(<const char*>self.at, self.left)
        self.left = 0
        return made


def decode_request(bytes payload not None, scope, dict state not None):
    """Fill ``scope`` as an ASGI server would, with a copy of ``state``; returns the body's beginning.

    Raises ProtocolError.
    """
    cdef Reader reader = Reader(payload)
    cdef uint32_t websocket = reader.number(1)
    cdef uint32_t version = reader.number(1), count, _
    cdef str method
    cdef list names
    if websocket > 1 or version >= len(VERSIONS):
        raise ProtocolError("an unknown kind of request")
    scope["type"] = "websocket" if websocket else "http"
    scope["asgi"] = {"version": "3.0", "spec_version": "2.4" if websocket else "2.3"}
    scope["http_version"] = VERSIONS[version]
    method = reader.text(1)
    if not websocket:
        scope["method"] = method
    scope["scheme"] = reader.text(1)
    client = reader.peer()
    scope["server"] = reader.peer()
    scope["client"] = client
    path = reader.text(4)
    raw_path = reader.blob(4)
    scope["root_path"] = reader.text(4)
    scope["path"] = path
    scope["raw_path"] = raw_path
    scope["query_string"] = reader.blob(4)
    scope["headers"] = reader.pairs()
    scope["state"] = state.copy()
    count = reader.number(2)
    names = []
    for _ in range(count):
        names.append(reader.text(2))
    denial = reader.number(1)
    if websocket:
        scope["subprotocols"] = names
        if denial:
            scope["extensions"] = {"websocket.http.response": {}}
    return reader.rest()

def decode_route(bytes payload not None):
    """``(number, packed scope, body's beginning)`` of a ROUTE. Raises ProtocolError."""
    cdef Reader reader = Reader(payload)
    cdef uint32_t route = reader.number(4)
    return route, reader.blob(4), reader.rest()

cpdef tuple decode_response(bytes payload):
    """``(status, headers, body's beginning)`` of a RESPONSE. Raises ProtocolError."""
    cdef Reader reader = Reader(payload)
    cdef int status = reader.number(2)
    cdef list headers = reader.pairs()
    return status, headers, reader.rest()

def decode_accept(bytes payload not None):
    """``(subprotocol or None, headers)`` of an ACCEPT. Raises ProtocolError."""
    cdef Reader reader = Reader(payload)
    cdef str name = reader.text(1)
    cdef list headers = reader.pairs()
    if reader.left:
        raise ProtocolError("a frame has more than its fields")
    return name or None, headers

def decode_close(bytes payload not None):
    """``(code, reason)`` of a CLOSE. Raises ProtocolError."""
    cdef Reader reader = Reader(payload)
    cdef int code = reader.number(2)
    return code, reader.rest().decode("utf-8", "replace")

def decode_number(bytes payload not None):
    """The number of a CREDIT, PING or PONG. Raises ProtocolError."""
    cdef Reader reader = Reader(payload)
    return reader.number(4)


cdef class Decoder:
    """Turns the bytes of one connection into frames: ``(kind, flags, stream, payload)``.

    ``accepted`` are the kinds that the other end may send. Holds at most 64 KiB and one
    payload within its kind's limit.
    """

    def __cinit__(self, accepted):
        self.scratch = <unsigned char*>malloc(SCRATCH)
        if self.scratch == NULL:
            raise MemoryError()
        self.start = self.end = 0
        self.large = None
        self.eof = False
        self.accepted = 0
        for kind in accepted:
            self.accepted |= <uint32_t>1 << <int>kind

    def __dealloc__(self):
        free(self.scratch)

    def feed(self, const unsigned char[::1] data not None):
        """The frames that ``data`` completes. Raises ProtocolError."""
        cdef list frames = []
        cdef Py_ssize_t offset = 0, size
        cdef unsigned char* room
        while offset < data.shape[0]:
            room = self.room(&size)
            size = min(size, data.shape[0] - offset)
            memcpy(room, &data[offset], size)
            offset += size
            self.advance(size, frames)
        return frames

    def read(self, int fd):
        """The frames that can be read from a socket without waiting; sets ``eof`` at its end.

        Raises ProtocolError, and OSError from the socket.
        """
        cdef list frames = []
        cdef Py_ssize_t size, got, total = 0
        cdef unsigned char* room
        while total < TURN:
            room = self.room(&size)
            with nogil:
                got = c_recv(fd, room, size, MSG_DONTWAIT)
            if got < 0:
                if errno == EINTR:
                    continue
                if errno == EAGAIN:
                    break
                raise OSError(errno, "the gil lane's socket")
            if got == 0:
                self.eof = True
                break
            total += got
            self.advance(got, frames)
            if got < size:
                break
        return frames

    cdef unsigned char* room(self, Py_ssize_t* size) noexcept:
        if self.large is not None:
            size[0] = <Py_ssize_t>self.head.length - self.filled
            return <unsigned char*>PyBytes_AS_STRING(self.large) + self.filled
        if self.start == self.end:
            self.start = self.end = 0
        elif self.start > 0:
            memmove(self.scratch, self.scratch + self.start, self.end - self.start)
            self.end -= self.start
            self.start = 0
        size[0] = SCRATCH - self.end
        return self.scratch + self.end

    cdef int advance(self, Py_ssize_t count, list frames) except -1:
        if self.large is None:
            self.end += count
            return self.parse(frames)
        self.filled += count
        if self.filled == <Py_ssize_t>self.head.length:
            frames.append((self.head.kind, self.head.flags, self.head.stream, self.large))
            self.large = None
        return 0

    cdef int parse(self, list frames) except -1:
        cdef unsigned char* at
        cdef Py_ssize_t there
        cdef bytes payload
        while self.end - self.start >= HEADER:
            at = self.scratch + self.start
            self.head.kind = at[1]
            self.head.flags = at[2]
            self.head.stream = at[4] | at[5] << 8 | at[6] << 16 | <uint32_t>at[7] << 24
            self.head.length = at[8] | at[9] << 8 | at[10] << 16 | <uint32_t>at[11] << 24
            if at[0] != 1:
                raise ProtocolError(f"version {at[0]} of the protocol; this end speaks version 1")
            if self.head.kind >= KINDS or not self.accepted >> self.head.kind & 1:
                raise ProtocolError(f"an unexpected frame of kind {self.head.kind}")
            if not LEAST[self.head.kind] <= self.head.length <= MOST[self.head.kind]:
                raise ProtocolError(f"a frame of kind {self.head.kind} with {self.head.length} bytes")
            if at[3] or self.head.flags > 3:
                raise ProtocolError(f"unknown flags in a frame of kind {self.head.kind}")
            there = self.end - self.start - HEADER
            if there >= <Py_ssize_t>self.head.length:
                payload = PyBytes_FromStringAndSize(<char*>at + HEADER, self.head.length)
                self.start += HEADER + self.head.length
                frames.append((self.head.kind, self.head.flags, self.head.stream, payload))
            elif self.head.length > LARGE:
                self.large = PyBytes_FromStringAndSize(NULL, self.head.length)
                memcpy(PyBytes_AS_STRING(self.large), at + HEADER, there)
                self.filled = there
                self.start = self.end = 0
                return 0
            else:
                return 0
        return 0
