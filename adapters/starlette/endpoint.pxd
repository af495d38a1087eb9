# What a route's endpoint does in the first step of its task.
from freelane.fastcore.asgi.http cimport HTTPExchange

cdef class Endpoint:
    # Constant once made, but for a `call` that is made as it is first asked for. The loop's thread alone has it.
    cdef readonly object call        # (request[, opened][, body]) -> response: a coroutine function
    cdef readonly bint reads
    cdef readonly object opens

    cdef object begin(self, HTTPExchange exchange, bytes body)
    cdef object end(self, HTTPExchange exchange, object request, object opened, object response)

cdef object make_request(HTTPExchange exchange)
