# cython: language_level=3, freethreading_compatible=True
"""Run ``def`` work on threads and deliver its result to a loop or to a waiting thread."""
import asyncio
import contextvars
import queue
import threading
from collections import deque

cimport cython

cdef enum:
    PENDING = 0
    RUNNING = 1
    DONE = 2
    FAILED = 3
    CANCELLED = 4

cdef double IDLE_SECONDS = 30.0


class ExecutorFull(RuntimeError):
    """Every slot is taken and the queue is at its bound."""


class ExecutorStopped(RuntimeError):
    """The executor was shut down."""


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
        self.waiter = None
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
        cdef object callbacks, waiter
        with self.lock:
            if self.state >= DONE:
                return False
            self.value = value
            self.state = state
            callbacks, self.callbacks = self.callbacks, None
            waiter, self.waiter = self.waiter, None
        if waiter is not None:
            waiter.set()
        if callbacks:
            for callback, context in callbacks:
                if self.lane is not None and self.lane.post(_Delivery(self, callback, context), None):
                    continue
                try:
                    self.bound_loop.call_soon_threadsafe(callback, self, context=context)
                except RuntimeError:
                    pass  # the loop is closed: nobody is left to hear
        return True

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
        cdef object event
        if self.peek() >= DONE:
            return None
        if asyncio._get_running_loop() is not None:
            raise asyncio.InvalidStateError("Result is not set: await it on a loop's thread.")
        with self.lock:
            if self.state >= DONE:
                return None
            if self.waiter is None:
                self.waiter = threading.Event()
            event = self.waiter
        if not event.wait(timeout):
            raise TimeoutError(f"no result within {timeout} seconds")

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
    # Runs one callback on the loop in the context it was added with.
    cdef FastFuture future
    cdef object callback
    cdef object context

    def __cinit__(self, FastFuture future, object callback, object context):
        self.future = future
        self.callback = callback
        self.context = context

    def __call__(self, _):
        if self.context is None:
            self.callback(self.future)
        else:
            self.context.run(self.callback, self.future)


@cython.final
cdef class _Job:
    cdef FastFuture future
    cdef object context
    cdef object function
    cdef tuple args
    cdef dict kwargs

    cdef object run(self):
        if not self.future.set_running():
            return None
        try:
            self.future.finish(DONE, self.context.run(self.function, *self.args, **self.kwargs))
        except BaseException as exc:
            self.future.finish(FAILED, exc)
            # A traceback that keeps this frame would keep the job and what it refers to.
            exc = None
        return None


cdef class Executor:
    """Slots for concurrent ``def`` work, shared by two kinds of thread.

    ``run_here`` runs on the calling thread (a server thread that already carries the
    request). ``submit`` runs on threads of this pool. Both take one of ``limit`` slots;
    beyond it jobs queue up to ``backlog_limit``, then ``ExecutorFull`` is raised. Whoever
    gives a slot back takes the next queued job with it.
    """

    def __cinit__(self, int limit=40, int backlog_limit=1000, str name="freelane"):
        if limit < 1:
            raise ValueError("limit must be at least 1")
        if backlog_limit < 0:
            raise ValueError("backlog_limit must not be negative")
        self.limit = limit
        self.backlog_limit = backlog_limit
        self.busy = 0
        self.idle = 0
        self.threads = 0
        self.stopped = False
        self.backlog = deque()
        self.handoff = queue.SimpleQueue()
        self.name = name

    @property
    def busy_slots(self):
        """Slots in use now."""
        return self.busy

    @property
    def queued(self):
        """Jobs that wait for a slot."""
        return len(self.backlog)

    def set_limit(self, int limit):
        """Change the number of slots; running work is not interrupted."""
        if limit < 1:
            raise ValueError("limit must be at least 1")
        with self.lock:
            self.limit = limit

    def run_here(self, function, argument):
        """Run ``function(argument)`` on this thread if a slot is free, else queue it.

        Returns True if it ran or was queued, False if the queue is full. ``function`` must
        not raise. On return the caller may also have run jobs that were queued.
        """
        with self.lock:
            if self.busy < self.limit:
                self.busy += 1
            elif len(self.backlog) < self.backlog_limit:
                self.backlog.append((function, argument))
                return True
            else:
                return False
        job = (function, argument)
        while job is not None:
            self.run_job(job)
            job = self.next_job()
        return True

    def submit(self, function, /, *args, lane=None, context=None, **kwargs):
        """Run ``function(*args, **kwargs)`` on a pool thread, in a copy of the context.

        Returns a ``FastFuture`` whose callbacks share ``lane``'s wake-ups. Raises
        ``ExecutorFull`` or ``ExecutorStopped``.
        """
        cdef _Job job = _Job.__new__(_Job)
        cdef bint spawn = False
        job.future = FastFuture(lane)
        job.context = contextvars.copy_context() if context is None else context
        job.function = function
        job.args = args
        job.kwargs = kwargs
        with self.lock:
            if self.stopped:
                raise ExecutorStopped("the executor is shut down")
            if self.busy < self.limit:
                self.busy += 1
                if self.idle > 0:
                    self.idle -= 1
                else:
                    spawn = True
                    self.threads += 1
            elif len(self.backlog) < self.backlog_limit:
                self.backlog.append(job)
                return job.future
            else:
                raise ExecutorFull(
                    f"{self.limit} calls are running and {self.backlog_limit} wait: raise --threads or --backlog"
                )
        if spawn:
            # Free-threaded 3.14 lets threads inherit the spawner's context: give an empty one.
            try:
                thread = threading.Thread(target=self.work, args=(job,), name=self.name, daemon=True)
                contextvars.Context().run(thread.start)
            except BaseException:
                with self.lock:
                    self.busy -= 1
                    self.threads -= 1
                raise
        else:
            self.handoff.put(job)
        return job.future

    cdef object next_job(self):
        # Keeps the slot when there is a queued job, gives it back when there is none.
        with self.lock:
            if self.backlog and self.busy <= self.limit:
                return self.backlog.popleft()
            self.busy -= 1
            return None

    cdef object run_job(self, object job):
        if type(job) is _Job:
            (<_Job>job).run()
        else:
            (<tuple>job)[0]((<tuple>job)[1])

    def work(self, job):
        """A pool thread's life: run jobs, then idle for a while, then end."""
        while True:
            while job is not None:
                self.run_job(job)
                job = None
                with self.lock:
                    if self.backlog and self.busy <= self.limit:
                        job = self.backlog.popleft()
                    else:
                        self.busy -= 1
                        if self.stopped:
                            self.threads -= 1
                            return
                        self.idle += 1
            try:
                job = self.handoff.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self.lock:
                    # A submitter that counted on us has already taken its mark off `idle`.
                    if self.idle > 0:
                        self.idle -= 1
                        self.threads -= 1
                        return
                job = self.handoff.get()
            if job is None:
                with self.lock:
                    self.threads -= 1
                return

    def shutdown(self):
        """Refuse new jobs, cancel the queued ones, let the running ones end."""
        cdef int idle
        cdef list dropped
        with self.lock:
            self.stopped = True
            dropped = list(self.backlog)
            self.backlog.clear()
            idle = self.idle
            self.idle = 0
        for _ in range(idle):
            self.handoff.put(None)
        for job in dropped:
            if type(job) is _Job:
                (<_Job>job).future.finish(CANCELLED, None)
