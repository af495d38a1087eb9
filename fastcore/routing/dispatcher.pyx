# cython: language_level=3, freethreading_compatible=True
"""Dispatch requests to targets: precomputed answers of routes, for as long as nothing changed.

Knows no framework: an adapter says which scope keys its routing would set, what answers, and
by which marks a later change of the app is noticed. What has no target, or one whose guard
does not hold, takes the gateway's way to the app itself.
"""
from cpython.dict cimport PyDict_Contains, PyDict_SetItem, PyDict_Update
from cpython.object cimport PyObject_Size

from freelane.fastcore.threads.body_reader cimport BodyReader, size_of
from freelane.fastcore.threads.atomic_ref cimport PyList_GetItemRef, cell_get, cell_set
from freelane.fastcore.asgi.http cimport HTTPExchange
from freelane.fastcore.routing.watch cimport Watch


cdef class Guard:
    """Marks of an app as it was read: attributes, lengths, items of lists, keys that dicts lack, names."""

    def __cinit__(self, attributes=(), sizes=(), places=(), absent=(), watches=()):
        self.attributes = tuple(attributes)
        self.sizes = tuple(sizes)
        self.places = tuple(places)
        self.absent = tuple(absent)
        self.watches = tuple(watches)

    cpdef bint holds(self):
        """Whether every mark is as it was; compared by identity."""
        cdef tuple mark
        cdef object found
        for found in self.watches:
            if not (<Watch>found).holds():
                return False
        for mark in self.attributes:
            found = getattr(mark[0], <str>mark[1], None)
            if found is not mark[2]:
                return False
        for mark in self.sizes:
            if PyObject_Size(mark[0]) != <Py_ssize_t>mark[1]:
                return False
        for mark in self.absent:
            if PyDict_Contains(mark[0], mark[1]):
                return False
        for mark in self.places:
            try:
                found = PyList_GetItemRef(<list>mark[0], <Py_ssize_t>mark[1])
            except IndexError:
                return False
            if found is not mark[2]:
                return False
        return True


cdef class Target:
    """What answers the requests of one route.

    - ``answer(exchange)``: a coroutine function for the loop lane.
    - ``serve(exchange, body)``: for the free lane, where it is given: answers on the calling
      thread and returns None, or returns the ASGI app that answers on the loop instead.
    - ``body``: whether both want the whole request body before anything else; ``serve`` gets
      it, ``answer`` finds it by ``exchange.body()``.
    """

    def __cinit__(self, Guard guard, dict constants, answer, serve=None, *, dict fresh=None, bint body=False):
        self.guard = guard
        self.constants = constants
        self.fresh = fresh
        self.answer = answer
        self.serve = serve
        self.body = body

    cdef object enter(self, object scope, object params):
        PyDict_Update(scope, self.constants)
        if self.fresh is not None:
            for key, value in self.fresh.items():
                PyDict_SetItem(scope, key, (<dict>value).copy())
        PyDict_SetItem(scope, "path_params", {} if params is None else params)


cdef class Table:
    """``match(method, path)`` gives ``(target, params)``; of no use once ``guard`` does not hold."""

    def __cinit__(self, Guard guard, match):
        self.guard = guard
        self.match = match


cdef class Dispatcher:
    """The way of one gateway's requests.

    - ``root_path``: what the app itself takes off the front of a path.
    - ``renew()``: called when the table is out of date; any thread, may be called often.
    - ``busy(watcher)``: the (status, headers, body) for a request beyond the executor's bound.
    """

    def __cinit__(self, Gateway gateway, *, executor=None, str root_path="", renew=None, busy=None):
        self.gateway = gateway
        self.executor = executor
        self.root_path = root_path
        self.renew = renew
        self.busy = busy
        self.cell = [None]
        self.begin_bound = self.begin
        self.serve_bound = self.serve
        self.hand_over_bound = self.hand_over

    def publish(self, Table table not None):
        """Use ``table`` from the next request on."""
        cell_set(self.cell, table)

    cdef tuple find(self, str method, str path):
        # (target, params), or None where the app's own path must be taken.
        cdef Table table = <Table>cell_get(self.cell)
        cdef object found
        if table is None:
            return None
        if not table.guard.holds():
            if self.renew is not None:
                self.renew()
            return None
        if self.root_path:
            path = below(self.root_path, path)
        try:
            found = table.match(method, path)
        except Exception:  # a user's convertor refused the value: the app's own path says so
            return None
        if type(found) is not tuple or (<tuple>found)[0] is None:
            return None
        return <tuple>found if (<Target>(<tuple>found)[0]).guard.holds() else None

    def schedule(self, watcher):
        """Take a request on one of Granian's threads. Must not raise."""
        cdef object source = watcher.scope
        cdef Gateway gateway = self.gateway
        cdef tuple found = None, call
        cdef Target target
        if gateway.rsgi:
            if source.proto == "http":
                found = self.find(source.method, source.path)
        elif source["type"] == "http":
            found = self.find(source["method"], source["path"])
        if found is None:
            gateway.schedule(watcher)
            return
        target = <Target>found[0]
        call = (watcher, source, target, found[1])
        if not target.body:
            self.go(call, None)
        elif not self.read(call):
            gateway.schedule(watcher)

    cdef bint read(self, tuple call) except -1:
        # False, with nothing done, for a body whose length only reading tells.
        cdef Body body
        cdef long long size = size_of(call[1], self.gateway.rsgi)
        if size < 0:
            return False
        if size == 0:
            self.go(call, b"")
            return True
        body = Body.__new__(Body)
        body.watcher = call[0]
        body.proto = body.watcher.proto
        body.rsgi = self.gateway.rsgi
        body.due = size
        body.dispatcher = self
        body.call = call
        body.begin()
        return True

    def go(self, tuple call, body):
        call = (*call, body)
        if (<Target>call[2]).serve is None or self.executor is None:
            self.post(call)
        else:
            self.run_here(call)

    cdef object post(self, tuple call):
        if not self.gateway.lane.post(self.begin_bound, call):
            call[0].done()

    cdef object run_here(self, tuple call):
        if not self.executor.run_here(self.serve_bound, call):
            status, headers, body = self.busy(call[0])
            (<HTTPExchange>self.gateway.open(call[1], call[0].proto)).respond_now(status, headers, body)

    def begin(self, tuple call):
        """Start a request of the loop lane, on the loop's thread."""
        cdef HTTPExchange exchange
        cdef object watcher = call[0]
        try:
            exchange = self.gateway.open(call[1], watcher.proto)
        except BaseException as exc:
            self.gateway.log_error("The request could not be understood\n", exc)
            watcher.done()
            return
        exchange.watcher = watcher
        if call[4] is not None:
            exchange.take_body(call[4])
        self.attach(exchange, call[2], call[3])
        exchange.start(self.gateway.context.copy())

    def attach(self, HTTPExchange exchange, Target target, params):
        target.enter(exchange.scope, params)
        exchange.answer = target.answer

    def take(self, HTTPExchange exchange):
        """Let the target of a request that is about to start answer it, if there is one."""
        cdef object scope = exchange.scope
        cdef tuple found
        if scope["type"] == "http":
            found = self.find(scope["method"], below(self.gateway.root_path, scope["path"]))
            if found is not None:
                self.attach(exchange, found[0], found[1])

    def serve(self, tuple call):
        """Answer a request of the free lane on this thread, or send what is left of it to the loop."""
        cdef HTTPExchange exchange
        cdef Target target = <Target>call[2]
        cdef object watcher = call[0], rest
        try:
            exchange = self.gateway.open(call[1], watcher.proto)
            if call[4] is not None:
                exchange.take_body(call[4])
            target.enter(exchange.scope, call[3])
            rest = target.serve(exchange, call[4])
        except BaseException as exc:
            self.gateway.log_error("The request could not be understood\n", exc)
            watcher.done()
            return
        if rest is not None:
            exchange.app = rest
            exchange.watcher = watcher
            if not self.gateway.lane.post(self.hand_over_bound, exchange):
                watcher.done()

    def hand_over(self, HTTPExchange exchange):
        exchange.start(self.gateway.context.copy())


cdef class Body(BodyReader):
    # Goes on with a call when its body is there.
    cdef Dispatcher dispatcher
    cdef tuple call

    cdef object go_on(self, bytes body):
        self.dispatcher.go(self.call, body)


cpdef str below(str root_path, str path):
    """``path`` without ``root_path`` at a segment's border (ASGI, ``root_path``)."""
    if root_path and path.startswith(root_path):
        if len(path) == len(root_path):
            return ""
        if path[len(root_path)] == "/":
            return path[len(root_path):]
    return path
