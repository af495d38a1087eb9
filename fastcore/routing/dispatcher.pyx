# cython: language_level=3, freethreading_compatible=True
"""Dispatch requests to targets: what answers a route, worked out beforehand, for as long as nothing changed.

Knows no framework: an adapter makes the table, and says by which marks a later change of the
app is noticed. What has no target, or one whose guard does not hold, takes the gateway's way
to the app itself.
"""
from cpython.pythread cimport PyThread_get_thread_ident

from freelane.fastcore.threads.atomic_ref cimport cell_get, cell_set
from freelane.fastcore.threads.body_reader cimport size_of


LANES = ("loop", "free", "gil")

# A power of two: more than there are cores in most machines.
cdef enum:
    CROWDS = 16


cdef class Target:
    """What the table has for a route: its lane, what it wants of a request, and what answers."""

    @property
    def lane(self):
        """Where it is answered, one of LANES: as a task, on the server's thread, or by a process of the gil lane."""
        return LANES[self.place]

    @lane.setter
    def lane(self, name):
        self.place = LANES.index(name)

    cdef object serve(self, Call call):
        """Answer on the calling thread."""
        raise NotImplementedError

    cdef object start(self, Call call):
        """Begin to answer, on the loop's thread."""
        raise NotImplementedError

    cdef object attach(self, HTTPExchange exchange, object params):
        """Answer a request whose task is about to start, if this target can."""


cdef class Call(Responder):
    """One request on its way to its target. Any thread may answer it; the first answer counts."""

    cdef object go_on(self, bytes body):
        self.body = body
        self.dispatcher.ready(self)


cdef class Crowd:
    """Calls that are answered by the same few threads."""

    def __cinit__(self):
        self.newest = NULL
        self.count = 0


cdef class Table:
    """``match(method, path)`` gives ``(target, params)``; of no use once ``guard`` does not hold."""

    def __cinit__(self, Guard guard, match, answer=None):
        self.guard = guard
        self.match = match
        self.answer = answer


cdef class Dispatcher:
    """Takes one gateway's requests from Granian, matches each once, and runs its target where that belongs.

    - ``root_path``: what the app itself takes off the front of a path.
    - ``owner.renew()``: called when the table is out of date; any thread, may be called often.
    - ``owner.refuse(call)``: answer a call beyond the executor's bound; any thread.
    """

    def __cinit__(self, Gateway gateway not None, owner, *, executor=None, str root_path=""):
        self.gateway = gateway
        self.owner = owner
        self.executor = executor
        self.root_path = root_path
        self.cell = [None]
        self.serve_bound = self.serve
        self.start_bound = self.start
        self.crowds = tuple(Crowd() for _ in range(CROWDS))

    def publish(self, Table table not None):
        """Use ``table`` from the next request on."""
        cell_set(self.cell, table)

    # -- on Granian's thread

    def schedule(self, watcher):
        """Take one request or WebSocket. Must not raise."""
        try:
            self.take_up(watcher)
        except BaseException as exc:
            self.gateway.log_error("The request could not be understood\n", exc)
            watcher.done()

    cdef object take_up(self, object watcher):
        cdef object source = watcher.scope
        cdef bint rsgi = self.gateway.rsgi
        cdef str method, path
        cdef tuple found = None
        cdef Table table
        cdef Target target
        cdef Call call
        cdef long long size
        if rsgi:
            if type(source) is not self.http_scope and not self.is_http(source):
                self.gateway.schedule(watcher)
                return None
            method, path = source.method, source.path
        elif source["type"] == "http":
            method, path = source["method"], source["path"]
        else:
            self.gateway.schedule(watcher)
            return None
        table = <Table>cell_get(self.cell)
        found = self.find(table, method, path)
        if found is None:
            self.gateway.schedule(watcher)
            return None
        target = <Target>found[0]
        call = Call.__new__(Call)
        call.gateway = self.gateway
        call.watcher = watcher
        call.proto = watcher.proto
        call.source = source
        call.rsgi = rsgi
        call.method = method
        call.path = path
        call.target = target
        call.free = target.place == FREE
        call.params = found[1]
        call.table = table
        call.dispatcher = self
        call.began = self.ticks
        if not target.body or target.place == GIL:  # the lane takes the body as it comes
            self.ready(call)
            return None
        size = size_of(source, rsgi)
        if size == 0:
            call.body = b""
            self.ready(call)
        elif size < 0 or target.limit >= 0 and size > target.limit:
            self.gateway.schedule(watcher)
        else:
            call.due = size
            call.begin()

    cdef bint is_http(self, object source) except -1:
        # Granian makes a `str` for each answer to this, and has a class for each protocol.
        if source.proto != "http":
            return False
        if type(source).__module__ == "granian._granian":
            self.http_scope = type(source)
        return True

    cdef tuple find(self, Table table, str method, str path):
        # (target, params), or None where the app's own path must be taken.
        cdef object found
        cdef Guard guard
        if table is None or table.guard is not None and not table.guard.holds():
            self.owner.renew()
            return None
        if self.root_path:
            path = below(self.root_path, path)
        try:
            found = table.match(method, path)
        except Exception:  # a user's convertor refused the value: the app's own path says so
            return None
        if type(found) is not tuple or (<tuple>found)[0] is None:
            return None
        guard = (<Target>(<tuple>found)[0]).guard
        return <tuple>found if guard is None or guard.holds() else None

    cdef object ready(self, Call call):
        """Send a call that has what its target wants to where that runs."""
        if call.target.place != FREE or self.executor is None:
            if not self.gateway.lane.post(self.start_bound, call):
                call.watcher.done()
        elif not self.executor.run_here(self.serve_bound, call):
            self.owner.refuse(call)

    def serve(self, Call call):
        """Answer on this thread. Must not raise."""
        try:
            call.target.serve(call)
        except BaseException as exc:
            self.gateway.log_error("A request could not be answered\n", exc)
            call.claim()
            call.watcher.done()

    # -- on the loop

    def start(self, Call call):
        """Begin to answer. Must not raise."""
        try:
            if call.target.place == GIL:
                self.hand_over(call)
            else:
                call.target.start(call)
        except BaseException as exc:
            self.gateway.log_error("The request could not be understood\n", exc)
            call.claim()
            call.watcher.done()

    cdef object hand_over(self, Call call):
        """Let the gil lane have the request as it came; the app's own path where there is none."""
        cdef object exchange
        if self.gateway.gil_lane is None:
            self.gateway.begin(call.watcher)
            return None
        exchange = self.gateway.open(call.source, call.proto)
        exchange.watcher = call.watcher
        self.gateway.gil_lane(exchange)

    def take(self, HTTPExchange exchange):
        """Let the target of a request that is about to start answer it, if there is one."""
        cdef object scope = exchange.scope
        cdef tuple found
        if scope["type"] == "http":
            found = self.find(
                <Table>cell_get(self.cell), scope["method"], below(self.gateway.root_path, scope["path"])
            )
            if found is not None:
                (<Target>found[0]).attach(exchange, found[1])

    # -- who runs

    cdef int enter(self, Call call) except -1:
        # Identifiers of threads are addresses of pages.
        cdef Crowd crowd = <Crowd>self.crowds[PyThread_get_thread_ident() >> 12 & CROWDS - 1]
        call.crowd = crowd
        with crowd.lock:
            call.older = crowd.newest
            if crowd.newest is not NULL:
                (<Call>crowd.newest).newer = <PyObject*>call
            crowd.newest = <PyObject*>call
            crowd.count += 1
        return 0

    cdef int leave(self, Call call) except -1:
        cdef Crowd crowd = call.crowd
        with crowd.lock:
            if call.newer is NULL:
                crowd.newest = call.older
            else:
                (<Call>call.newer).older = call.older
            if call.older is not NULL:
                (<Call>call.older).newer = call.newer
        return 0

    @property
    def served(self):
        """How many calls with an answer in one piece threads have taken."""
        cdef long long found = 0
        cdef Crowd crowd
        for crowd in self.crowds:
            with crowd.lock:
                found += crowd.count
        return found

    def running(self):
        """Those that threads answer now."""
        cdef list found = []
        cdef Crowd crowd
        cdef PyObject* at
        for crowd in self.crowds:
            with crowd.lock:
                at = crowd.newest
                while at is not NULL:
                    found.append(<Call>at)
                    at = (<Call>at).older
        return found


cpdef str below(str root_path, str path):
    """``path`` without ``root_path`` at a segment's border (ASGI, ``root_path``)."""
    if root_path and path.startswith(root_path):
        if len(path) == len(root_path):
            return ""
        if path[len(root_path)] == "/":
            return path[len(root_path):]
    return path
