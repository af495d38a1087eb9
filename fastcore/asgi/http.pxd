# One HTTP request and its response, between an ASGI app and one of Granian's protocols.

from freelane.fastcore.asgi.request_body cimport RequestBody


cdef class HTTPExchange(RequestBody):
    # One thread at a time has an exchange. A server's thread that opened it may take the body, answer
    # by `respond_now` and let it go, or hand it to the loop (`lane.post`) and touch it no more; all
    # else (receive, send, tasks, what Granian calls back) is the loop's thread alone.
    cdef public object app
    # A function of this exchange that answers in the app's place, and returns what must be awaited or None; or None.
    cdef public object answer
    # What a whole response goes through at its end: (scope, status, headers, body) -> headers,
    # body, or None for one that must go another way; or None.
    cdef public object leaving
    # (host, port) at the other end of the socket, whatever proxies say; None over RSGI, where
    # `source` knows, and for a Unix socket.
    cdef object peer
    cdef bint head
    cdef readonly bint overdue          # it was answered because it took too long

    # Response.
    cdef int stage               # changed by `become` only
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

    cdef int become(self, int stage) except -1
    cdef object connection(self)
    cdef object accept_start(self, object status, object headers)
    cdef object start_response(self)
    cdef object open_stream(self)
    cdef object write(self, bytes data)
    cdef object finish(self)
    cdef object respond(self, bytes body)
    cpdef object start(self, object context)
    cpdef bint respond_now(self, object status, object headers, object body)

cpdef answer_now(object proto, bint rsgi, int status, bytes body)
