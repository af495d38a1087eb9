# cython: language_level=3, freethreading_compatible=True
"""What the requests of one event loop share: the app, its settings, its state, and who is in progress."""
import contextvars

cdef extern from *:
    """
    /* Read without one by other threads; aligned, and of no order with anything else. */
    #if defined(__GNUC__) || defined(__clang__)
    static inline void freelane_flag_set(int *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELAXED); }
    #else
    static inline void freelane_flag_set(int *flag) { *flag = 1; }
    #endif
    """
    void flag_set "freelane_flag_set"(bint *flag)


cdef class LoopContext:
    """What its exchanges share.

    - ``lane``: the ``LoopQueue`` of ``loop``, or None where calls arrive on the loop already.
    - ``rsgi``: whether scopes and protocols are RSGI's or those of Granian's ASGI worker.
    - ``state``: what lifespan left; every request gets a copy.
    - ``forwarded``: ``(headers, client, scheme, websocket) -> (client, scheme)`` for proxies, or None.
    - ``extensions``: the scope's ``extensions``; None leaves the key out, as uvicorn does.
    - ``observer``: ``(scope, status, headers)`` called as a response starts; it may add headers.
    - ``connections``: paces and cuts off connections, or None.
    """

    def __cinit__(self, app, loop, *, lane=None, bint rsgi=True, str root_path="", dict state=None,
                  context=None, forwarded=None, observer=None, connections=None, logger=None,
                  dict extensions=None):
        self.app = app
        self.loop = loop
        self.lane = lane
        self.rsgi = rsgi
        self.root_path = root_path
        self.state = {} if state is None else state
        self.active = set()
        self.context = contextvars.Context() if context is None else context
        self.forwarded = forwarded
        self.observer = observer
        self.observed = observer is not None
        self.connections = connections
        self.logger = logger
        self.extensions = extensions
        self.losses = set()

    def observe(self, scope, status, headers):
        if self.observer is not None:
            self.observer(scope, status, headers)
        if self.leaving and scope["type"] == "http" and scope["http_version"][0] == "1":
            headers.append(("connection", "close") if self.rsgi else (b"connection", b"close"))

    def say_goodbye(self):
        """End each connection with its next response (RFC 9112, 9.6)."""
        flag_set(&self.leaving)
        flag_set(&self.observed)

    def log_error(self, str message, exc):
        if self.logger is not None:
            self.logger.error(message, exc_info=exc)

    def log_informational(self, scope, int status):
        """Say that a status that ends no request was given as its answer (RFC 9110, 15.2)."""
        if self.logger is not None:
            self.logger.warning(
                "Granian cannot send status %d as the answer to %s %s: the client gets 500.",
                status, scope["method"], scope["path"],
            )

    def log_broken(self, scope, peer):
        """Say that a request's body is malformed, unless the client just left in its middle."""
        if self.logger is not None and self.connections is not None and not self.connections.left(peer):
            self.logger.warning(
                "Invalid HTTP request received: the body of %s %s from %s is malformed.",
                scope["method"], scope["path"], "%s:%d" % peer,
            )

    def note_loss(self, str what, bint mended=True):
        """Say once that the transport could not carry something; ``mended``: that the other one can."""
        if what not in self.losses:
            self.losses.add(what)
            if self.logger is None:
                return
            if mended:
                self.logger.warning("RSGI cannot carry %s. Serve this app with --transport asgi.", what)
            else:
                self.logger.warning("Granian cannot carry %s: left out.", what)

    async def drain(self, peer):
        """Wait until the client at the other end of the socket has taken most of what was streamed to it."""
        if self.connections is not None:
            await self.connections.drain(peer)

    def cut(self, peer, release):
        """Break the connection to ``peer``, then call ``release``."""
        if self.connections is None:
            release()
        else:
            self.loop.create_task(self.connections.cut(peer, release))

    cpdef bint breaks(self, scope):
        """Whether one request's connection can be broken, and carries no other request."""
        return self.connections is not None and self.connections.supported and scope["http_version"][0] == "1"
