# cython: language_level=3, freethreading_compatible=True
"""A framed connection on an event loop (frames: fastcore/wire.pyx)."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memset

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len

cdef extern from "<sys/socket.h>" nogil:
    struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    ssize_t c_sendmsg "sendmsg"(int fd, const msghdr* message, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef enum:
    # Buffers in one call; the system's limit is 1024.
    VECTORS = 128


cdef class Link:
    """Reads frames from ``sock`` and writes what it is given, once per turn of the loop.

    ``on_frame(kind, flags, stream, payload)`` is called for each frame, ``on_closed(error)``
    once, with None at the other end's orderly end. Takes over ``sock``, which is non-blocking.
    """

    def __cinit__(self, loop, sock, accepted, on_frame, on_closed):
        self.loop = loop
        self.sock = sock
        self.fd = sock.fileno()
        self.decoder = Decoder(accepted)
        self.on_frame = on_frame
        self.on_closed = on_closed
        self.pending = []
        self.index = 0
        self.offset = 0
        self.scheduled = False
        self.blocked = False
        self.closed = False
        loop.add_reader(self.fd, self.readable)

    def readable(self):
        cdef list frames
        cdef tuple item
        if self.closed:
            return
        try:
            frames = self.decoder.read(self.fd)
            for item in frames:
                self.on_frame(item[0], item[1], item[2], item[3])
                if self.closed:
                    return
        except Exception as exc:
            # ProtocolError, OSError, or a mistake of ours: what follows cannot be trusted.
            self.close(exc)
            return
        if self.decoder.eof:
            self.close(None)

    @property
    def idle(self):
        """Whether all that was written is sent."""
        return not self.pending

    cpdef object write(self, bytes data):
        """Queue whole frames, or a frame's head followed by its payload, to be sent in order."""
        if self.closed:
            return None
        self.pending.append(data)
        if not self.scheduled and not self.blocked:
            self.scheduled = True
            self.loop.call_soon(self.flush)

    def flush(self):
        """Send what is queued, as far as the socket takes it."""
        self.scheduled = False
        if self.closed or self.blocked:
            return
        try:
            self.send_some()
        except OSError as exc:
            # What the other end said before it went is still to be read.
            if not self.closed:
                self.pending = []
                self.index = self.offset = 0
                self.readable()
                if not self.closed:
                    self.close(exc)

    def writable(self):
        self.loop.remove_writer(self.fd)
        self.blocked = False
        self.flush()

    cdef int send_some(self) except -1:
        cdef iovec[VECTORS] vectors
        cdef msghdr message
        cdef Py_ssize_t count, sent, size, i
        cdef list pending = self.pending
        cdef bytes data
        while self.index < len(pending):
            count = min(VECTORS, len(pending) - self.index)
            for i in range(count):
                data = pending[self.index + i]
                vectors[i].iov_base = PyBytes_AS_STRING(data)
                vectors[i].iov_len = PyBytes_GET_SIZE(data)
            vectors[0].iov_base = <char*>vectors[0].iov_base + self.offset
            vectors[0].iov_len -= self.offset
            memset(&message, 0, sizeof(message))
            message.msg_iov = vectors
            message.msg_iovlen = count
            with nogil:
                sent = c_sendmsg(self.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent < 0:
                if errno == EINTR:
                    continue
                if errno == EAGAIN:
                    self.blocked = True
                    self.loop.add_writer(self.fd, self.writable)
                    break
                raise OSError(errno, "the gil lane's socket")
            while self.index < len(pending):
                size = PyBytes_GET_SIZE(<bytes>pending[self.index]) - self.offset
                if sent < size:
                    self.offset += sent
                    break
                sent -= size
                # Let go of a large body at once.
                pending[self.index] = b""
                self.index += 1
                self.offset = 0
        if self.index == len(pending):
            self.pending = []
            self.index = 0
        elif self.index > 1024:
            del pending[:self.index]
            self.index = 0
        return 0

    def close(self, error=None):
        """Close the socket and tell ``on_closed``. Does it once."""
        if self.closed:
            return
        self.closed = True
        self.pending = []
        self.loop.remove_reader(self.fd)
        if self.blocked:
            self.loop.remove_writer(self.fd)
        self.sock.close()
        self.on_closed(error)
