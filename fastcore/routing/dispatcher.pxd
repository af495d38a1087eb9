# Requests on their way from Granian's threads to what answers them, past an app's own layers.
cimport cython
from cpython.object cimport PyObject

from freelane.fastcore.asgi.gateway cimport Gateway
from freelane.fastcore.asgi.http cimport HTTPExchange
from freelane.fastcore.asgi.responder cimport Responder
from freelane.fastcore.routing.guard cimport Guard

cdef enum:
    # The lanes, in the order of LANES.
    LOOP = 0       # a task of the loop
    FREE = 1       # one of the server's threads
    GIL = 2        # a process of the gil lane

cdef class Target:
    # Constant once its table is published.
    cdef readonly Guard guard        # None: there is nothing to look at
    cdef int place                   # LOOP, FREE or GIL; `lane` is its name
    cdef public bint body            # whether it wants the request's whole body before anything else,
    cdef public long long limit      # and of how many bytes at most; -1: of any size

    cdef object serve(self, Call call)
    cdef object start(self, Call call)
    cdef object attach(self, HTTPExchange exchange, object params)

cdef class Call(Responder):
    # Of whoever goes on with the request, which is one thread after the other.
    cdef readonly Target target
    cdef readonly object params
    cdef readonly Table table        # in which it was found
    cdef readonly bytes body         # None for a target that wants none
    cdef readonly long long began    # the dispatcher's tick when it arrived
    cdef Dispatcher dispatcher
    cdef Crowd crowd                 # which it is in,
    cdef PyObject* older             # and its neighbours there; the crowd's lock guards both
    cdef PyObject* newer

cdef class Table:
    # Constant once made.
    cdef readonly Guard guard
    cdef readonly object match       # (method, path), as fastcore.routing.router's
    cdef readonly object answer      # of targets that answer in one piece: (call) -> status, headers, body

cdef class Crowd:
    # Calls that some of the threads answer now.
    cdef cython.pymutex lock         # guards all of it
    cdef PyObject* newest            # each alive in a call of `serve`
    cdef long long count             # how many came, ever

cdef class Dispatcher:
    # All but the class, the cell and the ticks is constant once serving.
    cdef readonly Gateway gateway
    cdef readonly object owner
    cdef readonly object executor
    cdef readonly str root_path
    cdef type http_scope             # Granian's class for HTTP, once it was seen
    cdef list cell                   # [the current table], replaced as one reference
    cdef object serve_bound
    cdef object start_bound
    cdef public long long ticks      # written by the loop's thread
    # Several, since threads of one would wait for each other; a thread keeps to its own.
    cdef tuple crowds

    cdef bint is_http(self, object source) except -1
    cdef tuple find(self, Table table, str method, str path)
    cdef object take_up(self, object watcher)
    cdef object ready(self, Call call)
    cdef object hand_over(self, Call call)
    cdef int enter(self, Call call) except -1
    cdef int leave(self, Call call) except -1

cpdef str below(str root_path, str path)
