# The way from Granian's threads into one event loop's app.
from freelane.fastcore.asgi.loop_context cimport LoopContext

cdef class Gateway(LoopContext):
    cdef object begin_bound      # constant
    # (exchange): lets the gil lane answer a request as it came, on the loop's thread; None where
    # there is no lane. Constant once serving.
    cdef public object gil_lane

    cpdef object begin(self, object watcher)
    cpdef object open(self, object source, object proto)
    cpdef object schedule(self, object watcher)
