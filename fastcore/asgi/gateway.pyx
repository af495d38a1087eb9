# cython: language_level=3, freethreading_compatible=True
"""The gateway between Granian and one event loop's ASGI app."""
from freelane.fastcore.asgi.http cimport HTTPExchange
from freelane.fastcore.asgi.loop_context cimport LoopContext
from freelane.fastcore.asgi.scope cimport Scope, complete_scope, is_forwarded
from freelane.fastcore.asgi.websocket import WebSocketExchange


cdef class Gateway(LoopContext):
    """Turns Granian's calls into runs of ``app(scope, receive, send)`` on ``loop``; made as ``LoopContext`` is."""

    def __cinit__(self, *args, **options):
        self.begin_bound = self.begin

    cpdef object schedule(self, object watcher):
        """Take one call from Granian, on its thread. Must not raise."""
        if not self.lane.post(self.begin_bound, watcher):
            watcher.done()

    cpdef object begin(self, object watcher):
        """Start the request of a Granian watcher, on the loop's thread."""
        try:
            exchange = self.open(watcher.scope, watcher.proto)
        except BaseException as exc:
            self.log_error("The request could not be understood\n", exc)
            watcher.done()
            return None
        exchange.watcher = watcher
        exchange.start(self.context.copy())
        return None

    cpdef object open(self, object source, object proto):
        """An exchange for a scope and protocol of the kind this gateway serves."""
        cdef object scope, peer = None
        cdef bint websocket
        if self.rsgi:
            websocket = source.proto == "ws"
            scope = Scope(source, websocket, self.root_path, self.state, self.forwarded)
            if self.extensions is not None:
                scope["extensions"] = self.extensions.copy()
        else:
            scope = complete_scope(source, self.root_path, self.state)
            websocket = scope["type"] == "websocket"
            peer = scope["client"]
            if self.forwarded is not None and is_forwarded(scope["headers"]):
                scope["client"], scope["scheme"] = self.forwarded(
                    scope["headers"], scope["client"], scope["scheme"], websocket
                )
        if self.observed:
            # A list, so that it is one and the same in whatever copies of the scope layers make.
            scope["freelane.lane"] = []
        if websocket:
            return WebSocketExchange(self, proto, source, scope, peer)
        return HTTPExchange(self, proto, source, scope, peer)
