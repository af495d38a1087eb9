# cython: language_level=3, freethreading_compatible=True
"""Requests that are answered on the server's threads, over RSGI, with whole bodies both ways."""
import threading

from cpython.contextvars cimport PyContext_Copy, PyContext_Enter, PyContext_Exit

from freelane.fastcore.asgi.headers cimport check_limits
from freelane.fastcore.threads.body_reader cimport size_of


cdef class DirectRoute:
    """What a table has for a request: ``call(request)``, whether that is ``free`` to run on a thread, wants a ``body``."""


cdef class DirectTable:
    """The routes of an app as they were compiled; see ``DirectDispatcher``."""


cdef class DirectExchange(BodyReader):
    """One request. Any thread may answer it; the first answer counts."""

    cdef object go_on(self, bytes body):
        self.body = body
        self.dispatcher.ready(self)

    cpdef bint claim(self) except -1:
        """Take the right to answer. False if the request was answered."""
        with self.lock:
            if self.answered:
                return False
            self.answered = True
            return True

    cpdef bint respond(self, int status, list headers, bytes body) except -1:
        """Send a whole response, unless one was sent: then returns False.

        ``headers`` are checked ``(name, value)`` pairs of ``str``, without a length. Raises
        RuntimeError for a status or more headers than the server below takes.
        """
        check_limits(status, len(headers))
        if not self.claim():
            return False
        if self.method == "HEAD" and not 100 <= status < 200 and status != 204 and status != 304:
            headers = headers + [("content-length", str(len(body)))]
            body = b""
        if self.gateway.observed:
            headers = list(headers)
            scope = self.gateway.open(self.source, self.proto).scope
            if self.target is not None and self.target.free:
                scope["freelane.lane"] = ("free", threading.current_thread().name)
            self.gateway.observe(scope, status, headers)
        if body:
            self.proto.response_bytes(status, headers, body)
        else:
            self.proto.response_empty(status, headers)
        return True


cdef class DirectDispatcher:
    """Takes Granian's calls, finds the target, and runs it here where it may.

    ``owner.compiled`` is the ``DirectTable``, made by ``owner.pipeline`` where it is None:
    ``match(method, path)`` gives a ``DirectRoute`` and its parameters, as ``fastcore.router``
    does, and ``answer_direct(exchange)`` the status, headers and body of one that is free.
    Others go to ``start`` on the loop. Subclasses have ``start``, ``stream`` (for a body that
    is no bytes) and ``refuse`` (no thread is free).
    """

    def __cinit__(self, object owner, Executor executor not None, Gateway gateway not None):
        self.owner = owner
        self.executor = executor
        self.gateway = gateway
        self.context = gateway.context
        self.serve_bound = self.serve
        self.newest = NULL

    @property
    def served(self):
        """How many requests were answered on threads."""
        with self.lock:
            return self.count

    def schedule(self, watcher):
        """Take one call from Granian, on its thread. Must not raise."""
        try:
            self.take(watcher)
        except BaseException as exc:
            self.gateway.log_error("The request could not be understood\n", exc)
            watcher.done()

    cdef object take(self, object watcher):
        cdef object source = watcher.scope, found
        cdef DirectTable table
        cdef long long size
        cdef DirectExchange exchange
        cdef str method
        if type(source) is not self.http_scope and not self.is_http(source):
            self.gateway.schedule(watcher)
            return None
        table = self.owner.compiled
        if table is None:
            table = self.owner.pipeline
        method = source.method
        exchange = DirectExchange.__new__(DirectExchange)
        exchange.path = source.path
        found = table.match(method, exchange.path)
        if type(found) is not tuple:
            self.gateway.schedule(watcher)
            return None
        exchange.gateway = self.gateway
        exchange.watcher = watcher
        exchange.proto = watcher.proto
        exchange.source = source
        exchange.method = method
        exchange.target, exchange.params = found
        exchange.began = self.ticks
        if exchange.target.free and not exchange.target.body:
            self.ready(exchange)
            return None
        size = size_of(source, True)
        if size == 0:
            exchange.body = b""
            self.ready(exchange)
        elif size < 0 or size > table.max_body_size:
            self.gateway.schedule(watcher)
        else:
            exchange.dispatcher = self
            exchange.rsgi = True
            exchange.due = size
            exchange.begin()

    cdef bint is_http(self, object source) except -1:
        # Granian makes a `str` for each answer to this, and has a class for each protocol.
        if source.proto != "http":
            return False
        if type(source).__module__ == "granian._granian":
            self.http_scope = type(source)
        return True

    cdef object ready(self, DirectExchange exchange):
        """Send a request with its body to where its target runs."""
        if not exchange.target.free:
            if not self.gateway.lane.post(self.start, exchange):
                exchange.watcher.done()
        elif not self.executor.run_here(self.serve_bound, exchange):
            self.refuse(exchange)

    def serve(self, DirectExchange exchange):
        """Answer on this thread. Must not raise."""
        cdef DirectTable table = self.owner.compiled
        cdef object status, headers, body
        self.enter(exchange)
        try:
            if table is None:
                table = self.owner.pipeline
            status, headers, body = answer_in_context(self.context, table.answer_direct, exchange)
            if type(body) is bytes:
                exchange.respond(status, headers, body)
            else:
                self.stream(exchange, status, headers, body)
        except BaseException as exc:
            self.gateway.log_error("A request could not be answered\n", exc)
            exchange.claim()
            exchange.watcher.done()
        finally:
            self.leave(exchange)

    cdef int enter(self, DirectExchange exchange) except -1:
        with self.lock:
            exchange.older = self.newest
            if self.newest is not NULL:
                (<DirectExchange>self.newest).newer = <PyObject*>exchange
            self.newest = <PyObject*>exchange
        return 0

    cdef int leave(self, DirectExchange exchange) except -1:
        with self.lock:
            self.count += 1
            if exchange.newer is NULL:
                self.newest = exchange.older
            else:
                (<DirectExchange>exchange.newer).older = exchange.older
            if exchange.older is not NULL:
                (<DirectExchange>exchange.older).newer = exchange.newer
        return 0

    def running(self):
        """The requests that threads answer now, the newest first."""
        cdef list found = []
        cdef PyObject* at
        with self.lock:
            at = self.newest
            while at is not NULL:
                found.append(<DirectExchange>at)
                at = (<DirectExchange>at).older
        return found


cdef object answer_in_context(object context, object answer, DirectExchange exchange):
    """``context.copy().run(answer, exchange)``."""
    context = PyContext_Copy(context)
    PyContext_Enter(context)
    try:
        return answer(exchange)
    finally:
        PyContext_Exit(context)
