# cython: language_level=3, freethreading_compatible=True
"""What answers a call: an ASGI exchange whose routing is done, or a function of the call."""
from cpython.contextvars cimport PyContext_Copy, PyContext_Enter, PyContext_Exit
from cpython.dict cimport PyDict_SetItem, PyDict_Update

from freelane.fastcore.routing.guard cimport Guard


cdef class ASGITarget(Target):
    """Answers through an exchange whose scope has what the app's routing would have left in it.

    - ``answer(exchange)``: for the loop lane, in the request's task; returns None, or what the task has to await.
    - ``answer_here(exchange, body)``: for the free lane, where it is given: answers on the calling
      thread and returns None, or returns the ASGI app that answers on the loop instead.

    With ``body`` both want the whole body first; ``answer`` finds it by ``exchange.body()``.
    """

    def __cinit__(self, Guard guard, dict constants, answer, answer_here=None, *, dict fresh=None, bint body=False):
        self.guard = guard
        self.constants = constants
        self.fresh = fresh
        self.answer = answer
        self.answer_here = answer_here
        self.place = LOOP if answer_here is None else FREE
        self.body = body
        self.limit = -1
        self.hand_over_bound = hand_over

    cdef object enter(self, object scope, object params):
        PyDict_Update(scope, self.constants)
        if self.fresh is not None:
            for key, value in self.fresh.items():
                PyDict_SetItem(scope, key, (<dict>value).copy())
        PyDict_SetItem(scope, "path_params", {} if params is None else params)

    cdef object attach(self, HTTPExchange exchange, object params):
        self.enter(exchange.scope, params)
        exchange.answer = self.answer

    cdef HTTPExchange open(self, Call call):
        cdef HTTPExchange exchange = call.gateway.open(call.source, call.proto)
        if call.body is not None:
            exchange.take_body(call.body)
        return exchange

    cdef object start(self, Call call):
        cdef HTTPExchange exchange = self.open(call)
        exchange.watcher = call.watcher
        self.attach(exchange, call.params)
        exchange.start(call.gateway.context.copy())

    cdef object serve(self, Call call):
        cdef HTTPExchange exchange = self.open(call)
        cdef object rest
        self.enter(exchange.scope, call.params)
        rest = self.answer_here(exchange, call.body)
        if rest is not None:
            exchange.app = rest
            exchange.watcher = call.watcher
            if not call.gateway.lane.post(self.hand_over_bound, exchange):
                call.watcher.done()


def hand_over(HTTPExchange exchange):
    """Go on on the loop with what a thread has begun."""
    exchange.start(exchange.gateway.context.copy())


cdef class LaneTarget(Target):
    """Answered by a process of the gil lane, which has the whole app: for routes with nothing of the user's in front."""

    def __cinit__(self, Guard guard):
        self.guard = guard
        self.place = GIL


cdef class DirectTarget(Target):
    """Answers in one piece and without a scope, over RSGI.

    On a thread by the table's ``answer(call)``, which gives status, headers and body; a body that is
    no bytes goes to ``owner.stream(call, status, headers, body)``. On the loop by ``owner.start(call)``.
    ``owner`` is the dispatcher's.
    """

    cdef object start(self, Call call):
        call.dispatcher.owner.start(call)

    cdef object serve(self, Call call):
        cdef object status, headers, body
        call.dispatcher.enter(call)
        try:
            status, headers, body = answer_in_context(call.gateway.context, call.table.answer, call)
            if type(body) is bytes:
                call.respond(status, headers, body)
            else:
                call.dispatcher.owner.stream(call, status, headers, body)
        finally:
            call.dispatcher.leave(call)


cdef object answer_in_context(object context, object answer, Call call):
    """``context.copy().run(answer, call)``."""
    context = PyContext_Copy(context)
    PyContext_Enter(context)
    try:
        return answer(call)
    finally:
        PyContext_Exit(context)
