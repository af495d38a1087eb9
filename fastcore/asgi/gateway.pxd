# The way from Granian's threads into one event loop's app.
from freelane.fastcore.asgi.loop_context cimport LoopContext

cdef class Gateway(LoopContext):
    cdef object begin_bound      # constant
    # (exchange) -> the ASGI app that runs it in the app's place, or None; constant once serving.
    cdef public object attempt

    cpdef object begin(self, object watcher)
    cpdef object open(self, object source, object proto)
    cpdef object schedule(self, object watcher)
