# cython: language_level=3, freethreading_compatible=True
"""Hand work to an event loop from other threads with one wake-up per batch.

``loop.call_soon_threadsafe`` writes to a pipe and wakes epoll for every call. Here only
the first post of a batch does; while the loop is busy draining, posts are free.
"""
import contextvars


cdef class LoopQueue:
    """A queue in front of one ``asyncio`` loop.

    ``post`` may be called from any thread; ``callback(argument)`` runs on the loop's
    thread, in the order posted. Callbacks must not raise: what they raise goes to the
    loop's exception handler.
    """

    def __cinit__(self, object loop):
        self.loop = loop
        self.items = []
        self.armed = False
        self.closed = False
        # Handles copy the caller's context otherwise, and a request must not inherit it.
        self.drain_context = contextvars.Context()
        self.wakeups = 0
        self.posted = 0

    cpdef bint post(self, object callback, object argument):
        """Queue ``callback(argument)``. Returns False when the lane is closed."""
        cdef bint wake
        with self.lock:
            if self.closed:
                return False
            self.items.append((callback, argument))
            wake = not self.armed
            self.armed = True
        if wake:
            try:
                self.loop.call_soon_threadsafe(self.drain, context=self.drain_context)
            except RuntimeError:  # the loop was closed under us
                with self.lock:
                    self.closed = True
                return False
        return True

    def drain(self):
        """Run what is queued. Called by the loop only."""
        cdef list batch
        cdef tuple item
        cdef Py_ssize_t begun = 0
        with self.lock:
            batch = self.items
            if not batch:
                self.armed = False
                return
            self.items = []
        self.wakeups += 1
        self.posted += len(batch)
        try:
            for item in batch:
                begun += 1
                try:
                    item[0](item[1])
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as exc:
                    self.loop.call_exception_handler({
                        "message": f"Exception in loop lane callback {item[0]!r}",
                        "exception": exc,
                    })
            # Stay armed: the loop comes back by itself, and the posts until then need no wake-up.
            self.loop.call_soon(self.drain, context=self.drain_context)
        except BaseException:
            # What a signal handler raises leaves the loop, which may run again: what is left is for that.
            with self.lock:
                self.items = batch[begun:] + self.items
            self.loop.call_soon_threadsafe(self.drain, context=self.drain_context)
            raise

    def close(self):
        """Refuse further posts; what is queued is still drained by the loop."""
        with self.lock:
            self.closed = True
