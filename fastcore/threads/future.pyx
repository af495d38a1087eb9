# cython: language_level=3, freethreading_compatible=True
"""A result on its way from one thread to a loop or to a thread that waits for it."""
import asyncio
import queue


cdef class FastFuture:
    """The outcome of work done on another thread.

    Await it from any asyncio task, or call ``result(timeout)`` from any thread. It follows
    the duck type asyncio awaits (``_asyncio_future_blocking``, see ``asyncio.isfuture``).
    Callbacks added from a loop run on that loop; with a lane they share its wake-up.
    """

    def __cinit__(self, object lane=None):
        self.state = PENDING
        self.value = None
        self.callbacks = None
        self.waiters = None
        self.lane = lane
        self.bound_loop = None if lane is None else lane.loop
        self._asyncio_future_blocking = False

    def get_loop(self):
        """The loop that awaits this future; bound at the first await."""
        cdef object loop
        if self.bound_loop is None:
            loop = asyncio.get_running_loop()
            with self.lock:
                if self.bound_loop is None:
                    self.bound_loop = loop
        return self.bound_loop

    def add_done_callback(self, callback, *, context=None):
        """Call ``callback(self)`` on this future's loop once it is done."""
        cdef object loop = self.get_loop()
        cdef bint done
        with self.lock:
            done = self.state >= DONE
            if not done:
                if self.callbacks is None:
                    self.callbacks = []
                self.callbacks.append((callback, context))
        if done:
            loop.call_soon(callback, self, context=context)

    def remove_done_callback(self, callback):
        """Forget a callback. Returns how many were removed."""
        cdef list kept
        cdef Py_ssize_t before
        with self.lock:
            if not self.callbacks:
                return 0
            before = len(self.callbacks)
            kept = [entry for entry in self.callbacks if entry[0] != callback]
            self.callbacks = kept
            return before - len(kept)

    cdef bint finish(self, int state, object value):
        cdef object callbacks, waiters, callback, context
        cdef list deliveries = []
        with self.lock:
            if self.state >= DONE:
                return False
            self.value = value
            self.state = state
            callbacks, self.callbacks = self.callbacks, None
            waiters, self.waiters = self.waiters, None
        if waiters is not None:
            for waiter in waiters:
                waiter.put(None)
        if callbacks:
            for callback, context in callbacks:
                deliveries.append(_Delivery(self, callback, context))
            # From here on only the loop's thread may have the last reference to what waits, which
            # is a task: one that is freed elsewhere stops every thread.
            callbacks = callback = context = None
            for delivery in deliveries:
                self.deliver(delivery)
        return True

    cdef object deliver(self, object delivery):
        if self.lane is not None and self.lane.post(delivery, None):
            return None
        try:
            self.bound_loop.call_soon_threadsafe(delivery, None)
        except RuntimeError:
            pass  # the loop is closed: nobody is left to hear

    def set_running(self):
        """Mark the work as begun. Returns False if it was cancelled before."""
        with self.lock:
            if self.state == CANCELLED:
                return False
            self.state = RUNNING
            return True

    def set_result(self, value):
        """Deliver a value. Ignored if the future is already done or cancelled."""
        self.finish(DONE, value)

    def set_exception(self, exc):
        """Deliver an exception instance."""
        self.finish(FAILED, exc)

    def cancel(self, msg=None):
        """Cancel work that has not begun. Returns False once it has, as concurrent.futures does.

        A task that is cancelled while it awaits running work waits for its end, as with
        ``anyio.to_thread.run_sync``.
        """
        if self.peek() == RUNNING:
            return False
        return self.finish(CANCELLED, msg)

    cdef int peek(self):
        with self.lock:
            return self.state

    def done(self):
        return self.peek() >= DONE

    def cancelled(self):
        return self.peek() == CANCELLED

    def running(self):
        return self.peek() == RUNNING

    def exception(self, timeout=None):
        """The exception, or None. Same waiting rules and errors as ``result``."""
        self.wait(timeout)
        if self.peek() == CANCELLED:
            raise self._cancelled_error()
        return self.value if self.state == FAILED else None

    def result(self, timeout=None):
        """The value, or its exception raised.

        From a thread that runs no loop this blocks up to ``timeout`` seconds (None: no
        limit). Raises ``TimeoutError``, ``asyncio.CancelledError``, or
        ``asyncio.InvalidStateError`` when called on a loop's thread before it is done.
        """
        self.wait(timeout)
        if self.state == DONE:
            return self.value
        if self.state == FAILED:
            raise self.value
        raise self._cancelled_error()

    def _cancelled_error(self):
        if self.value is None:
            return asyncio.CancelledError()
        return asyncio.CancelledError(self.value)

    cdef object wait(self, object timeout):
        cdef object waiter
        if self.peek() >= DONE:
            return None
        if asyncio._get_running_loop() is not None:
            raise asyncio.InvalidStateError("Result is not set: await it on a loop's thread.")
        with self.lock:
            if self.state >= DONE:
                return None
            # It sleeps at once; an Event's lock spins first where there is no GIL.
            waiter = queue.SimpleQueue()
            if self.waiters is None:
                self.waiters = []
            self.waiters.append(waiter)
        try:
            waiter.get(timeout=None if timeout is None else max(0, timeout))
        except queue.Empty:
            raise TimeoutError(f"no result within {timeout} seconds") from None

    def __await__(self):
        if self.peek() < DONE:
            self.get_loop()
            self._asyncio_future_blocking = True
            yield self
        if self.peek() < DONE:
            raise RuntimeError("await wasn't used with future")
        return self.result()

    __iter__ = __await__


cdef class _Delivery:
    # Runs one callback on the loop in the context it was added with, and forgets both there.
    cdef FastFuture future
    cdef object callback
    cdef object context

    def __cinit__(self, FastFuture future, object callback, object context):
        self.future = future
        self.callback = callback
        self.context = context

    def __call__(self, _):
        callback, context, future = self.callback, self.context, self.future
        self.callback = self.context = self.future = None
        if context is None:
            callback(future)
        else:
            context.run(callback, future)
