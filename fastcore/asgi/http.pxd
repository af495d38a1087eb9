# One HTTP request and its response, between an ASGI app and one of Granian's protocols.

from freelane.fastcore.asgi.loop_context cimport LoopContext


cdef class HTTPExchange:
    # Every attribute is touched on the loop's thread only.
    cdef readonly LoopContext gateway
    cdef readonly object scope
    cdef public object app
    # An async function of this exchange that answers in the app's place, or None.
    cdef public object answer
    # What a whole response goes through at its end: (scope, status, headers, body) -> headers,
    # body, or None for one that must go another way; or None.
    cdef public object leaving
    cdef object proto
    cdef object source
    # (host, port) at the other end of the socket, whatever proxies say; None over RSGI, where
    # `source` knows, and for a Unix socket.
    cdef object peer
    cdef object loop
    cdef bint rsgi
    cdef bint head

    # Request body.
    cdef int body_stage
    cdef object reading
    cdef object watching
    cdef list chunks
    cdef long long body_left
    cdef bint ambiguous_end
    cdef list waiters
    cdef bint disconnected

    # Response.
    cdef int stage
    cdef bint stepping
    cdef int status
    cdef list headers
    cdef bint sized
    cdef long long body_due
    cdef object stream
    cdef long long unpaced
    cdef public object task
    # Kept so that the server does not answer before the app has.
    cdef public object watcher

    cdef object wake(self)
    cdef object connection(self)
    cdef object as_future(self, object awaitable)
    cdef object add_chunk(self, bytes data)
    cdef object end_body(self)
    cdef object on_message(self, dict message)
    cdef object open_body(self)
    cdef object read_next(self)
    cdef object break_body(self)
    cdef object watch(self)
    cdef object accept_start(self, object status, object headers)
    cdef object start_response(self)
    cdef object open_stream(self)
    cdef object write(self, bytes data)
    cdef object finish(self)
    cdef object respond(self, bytes body)
    cpdef object start(self, object context)
    cpdef bint respond_now(self, object status, object headers, object body)

cpdef answer_now(object proto, bint rsgi, int status, bytes body)
