# cython: language_level=3, freethreading_compatible=True
"""The first step of a request's task: the endpoint up to where it waits, and its response where it does not.

Most endpoints never wait, and then no coroutine of ours is between the task and theirs.
"""
from types import CoroutineType

from starlette.requests import Request

from freelane.adapters.compat import starlette_gate, versions
from freelane.adapters.starlette.plan import Delegate, Later
from freelane.fastcore.asgi.http cimport HTTPExchange
from freelane.fastcore.asgi.request_body cimport ENDED

cdef extern from "Python.h":
    ctypedef struct PyObject
    int PyIter_Send(object iterator, object argument, PyObject** found) except -1
    void Py_DECREF(PyObject* found)

# What sends a plain response, unless a tool has put itself in its place.
cdef object OWN_CALL = versions.own(starlette_gate.RESPONSE)


cdef class Endpoint:
    """``answer(exchange)`` for a route on the loop: None once the answer is out, or what the task must await.

    - ``reads``: whether ``call`` wants the whole body, as its last argument.
    - ``opens``: makes what ``call`` takes after the request and leaves open things in; or None.

    What is more than one plain response in one step is up to the coroutine functions of a subclass.
    """

    def __cinit__(self, call, bint reads, opens, *more):
        self.call = call
        self.reads = reads
        self.opens = opens

    def __call__(self, HTTPExchange exchange not None):
        cdef bytes body = None
        if self.reads:
            if exchange.body_stage != ENDED or exchange.chunks is None:
                return self.read(exchange)
            # It stays there for whoever reads it later.
            body = exchange.chunks[0] if len(exchange.chunks) == 1 else b"".join(exchange.chunks)
        return self.begin(exchange, body)

    def finish(self, HTTPExchange exchange not None, request, opened, response):
        """Send a response; None, or what is left to be awaited."""
        return self.end(exchange, request, opened, response)

    async def read(self, exchange):
        """Answer once the body is there."""
        raise NotImplementedError

    async def wait(self, exchange, request, opened, awaitable):
        """Answer with what ``awaitable`` gives."""
        raise NotImplementedError

    async def close(self, exchange, request, opened, response):
        """Close what is open; the response was sent."""
        raise NotImplementedError

    async def respond(self, exchange, request, opened, response):
        """Send a response that is more than plain."""
        raise NotImplementedError

    async def fail(self, exchange, request, opened, error):
        """Answer after an exception."""
        raise NotImplementedError

    async def delegate(self, exchange):
        """Leave the request to the framework."""
        raise NotImplementedError

    cdef object begin(self, HTTPExchange exchange, bytes body):
        cdef object request = make_request(exchange)
        cdef object opened = None if self.opens is None else self.opens()
        cdef object awaitable, response
        cdef PyObject* found = NULL
        if type(self.call) is Later:
            self.call = self.call.made()
        try:
            if self.reads:
                awaitable = self.call(request, body) if opened is None else self.call(request, opened, body)
            else:
                awaitable = self.call(request) if opened is None else self.call(request, opened)
            if type(awaitable) is not CoroutineType:
                return self.wait(exchange, request, opened, awaitable)
            if PyIter_Send(awaitable, None, &found) == 1:
                response = <object>found
                Py_DECREF(found)
                return self.wait(exchange, request, opened, Begun(awaitable, response))
        except Delegate:
            return self.delegate(exchange)
        except BaseException as exc:
            return self.fail(exchange, request, opened, exc)
        response = <object>found
        Py_DECREF(found)
        return self.end(exchange, request, opened, response)

    cdef object end(self, HTTPExchange exchange, object request, object opened, object response):
        if (
            type(response).__call__ is OWN_CALL
            and response.background is None
            and exchange.respond_now(response.status_code, response.raw_headers, response.body)
        ):
            return self.close(exchange, request, opened, response) if opened else None
        return self.respond(exchange, request, opened, response)


cdef class Begun:
    """Awaits what is left of a coroutine whose first step was taken, and gave ``first``."""

    cdef object coroutine
    cdef object first

    def __cinit__(self, coroutine, first):
        self.coroutine = coroutine
        self.first = first

    def __await__(self):
        cdef object coroutine = self.coroutine, waited = self.first, sent = None
        self.coroutine = self.first = None
        while True:
            try:
                sent = yield waited
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as exc:
                try:
                    waited = coroutine.throw(exc)
                except StopIteration as done:
                    return done.value
            else:
                try:
                    waited = coroutine.send(sent)
                except StopIteration as done:
                    return done.value


# The attributes of a new Request of Starlette's: those of what it is given, and those that are always
# the same; None where that is not known.
cdef str scope_name, receive_name, send_name
cdef tuple constants = None


cdef object make_request(HTTPExchange exchange):
    """``Request(exchange.scope, exchange.receive, exchange.send)``."""
    cdef object request, name, value
    if constants is None:
        return Request(exchange.scope, exchange.receive, exchange.send)
    request = Request.__new__(Request)
    setattr(request, scope_name, exchange.scope)
    setattr(request, receive_name, exchange.receive)
    setattr(request, send_name, exchange.send)
    for name, value in constants:
        setattr(request, name, value)
    return request


def learn():
    """Look at a Request for what ``make_request`` has to know."""
    global scope_name, receive_name, send_name, constants
    scope, receive, send = {"type": "http"}, object(), object()
    given, same = {}, []
    for name, value in vars(Request(scope, receive, send)).items():
        if value is None or value is True or value is False:
            same.append((name, value))
        else:
            given[id(value)] = name
    if given.keys() == {id(scope), id(receive), id(send)}:
        scope_name, receive_name, send_name = given[id(scope)], given[id(receive)], given[id(send)]
        constants = tuple(same)


if not versions.replaced(starlette_gate.REQUEST):
    learn()
