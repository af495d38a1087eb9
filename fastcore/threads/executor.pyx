# cython: language_level=3, freethreading_compatible=True
"""Run ``def`` work on threads: a few where it computes, many where it waits."""
import contextvars
import logging
import os
import queue
import threading
import time
from collections import deque

cimport cython
from cpython.pythread cimport PyThread_get_thread_ident
from freelane.fastcore.threads.future cimport CANCELLED, DONE, FAILED, FastFuture

cdef object logger = logging.getLogger("freelane.error")

# A pool thread ends after idling this long (seconds).
cdef double IDLE_SECONDS = 30.0
# How often a queue that does not empty is looked at (seconds).
cdef double TICK = 0.004
# Ticks without a finished job after which one more may run, even on busy cores.
cdef int STALLED_TICKS = 10
# How long a server thread that is too many sleeps before it looks whether it is needed (seconds).
cdef double NAP = 0.02
# Jobs in that time with which the others are so quick that nobody waits for one thread more.
cdef int BRISK = 100
# After it was needed, seconds until a thread is parked again: the first time, and at most.
cdef double FIRST_PAUSE = 1.0
cdef double LAST_PAUSE = 64.0
# Share of the cores in use above which more threads would only take turns.
cdef double SATURATED = 0.85


class ExecutorFull(RuntimeError):
    """Every slot is taken and the queue is at its bound."""


class ExecutorStopped(RuntimeError):
    """The executor was shut down."""


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
        except StopIteration as exc:
            # No future can hold one; anyio says it in these words.
            failure = RuntimeError("coroutine raised StopIteration")
            failure.__cause__ = exc
            self.future.finish(FAILED, failure)
            exc = failure = None
        except BaseException as exc:
            self.future.finish(FAILED, exc)
            # A traceback that keeps this frame would keep the job and what it refers to.
            exc = None
        return None


cdef class Executor:
    """Slots for concurrent ``def`` work, shared by two kinds of thread.

    ``run_here`` runs on the calling thread (a server thread that already carries the
    request), unless as many of those as there are cores are busy so: the rest hand requests
    over to loops, or sleep while that is not needed. ``submit`` runs on threads of this pool. Both take a slot; what finds none
    queues up to ``backlog_limit``, then ``ExecutorFull`` is raised. Whoever gives a slot
    back takes the next queued job with it.

    At first there are as many slots as ``cores``, those of the machine unless given. While
    jobs queue and the cores are not busy, because endpoints wait for something, the slots
    grow to ``limit`` within milliseconds; when the cores are busy they shrink again, since
    computing threads that take turns only make each other late.
    """

    def __cinit__(self, int limit=40, int backlog_limit=1000, str name="freelane", int cores=0):
        if limit < 1:
            raise ValueError("limit must be at least 1")
        if backlog_limit < 0:
            raise ValueError("backlog_limit must not be negative")
        self.limit = limit
        self.backlog_limit = backlog_limit
        self.cores = cores or usable_cores()
        self.allowed = min(self.cores, limit)
        self.busy = 0
        self.here = 0
        self.parked = False
        self.pause = FIRST_PAUSE
        self.pause_ends = 0.0
        self.recent = set()
        self.last = 0
        self.turns = 0
        self.since = 0
        self.since_when = 0.0
        self.idle = []
        self.threads = 0
        self.finished = 0
        self.stopped = False
        self.watching = False
        self.backlog = deque()
        self.urgent = deque()
        self.name = name

    @property
    def busy_slots(self):
        """Slots in use now."""
        with self.lock:
            return self.busy

    @property
    def queued(self):
        """Jobs that wait for a slot."""
        return len(self.backlog) + len(self.urgent)

    def set_limit(self, int limit):
        """Change the number of slots; running work is not interrupted."""
        if limit < 1:
            raise ValueError("limit must be at least 1")
        with self.lock:
            self.limit = limit
            self.allowed = min(self.allowed, limit)

    cpdef bint run_here(self, object function, object argument) except -1:
        """Run ``function(argument)`` on this thread, or on one of the pool, if a slot is free; else queue it.

        Returns True if it ran, runs or was queued, False if the queue is full. ``function``
        must not raise. On return the caller may also have run jobs that were queued.
        """
        cdef object job, thread = None
        cdef bint watch = False, here = False, queued = False, idle = False
        with self.lock:
            if self.busy < self.allowed:
                self.busy += 1
                if self.here < self.cores:
                    self.here += 1
                    here = True
                else:
                    thread = self.claim_thread()
            elif len(self.backlog) < self.backlog_limit:
                self.backlog.append((function, argument))
                queued = True
                watch = not self.watching
                self.watching = True
            else:
                return False
        if here:
            try:
                function(argument)
            except BaseException as exc:
                logger.error("A call on a thread could not be ended\n", exc_info=exc)
            while (job := self.next_job(&idle)) is not None:
                self.run_job(job)
            if idle:
                self.park()
        elif not queued:
            self.dispatch((function, argument), thread)
        elif watch:
            self.start_watch()
        return True

    def submit(self, function, /, *args, lane=None, context=None, **kwargs):
        """Run ``function(*args, **kwargs)`` on a pool thread, in a copy of the context.

        Returns a ``FastFuture`` whose callbacks share ``lane``'s wake-ups. Raises
        ``ExecutorFull`` or ``ExecutorStopped``.
        """
        cdef _Job job = make_job(function, args, kwargs, lane, context)
        cdef object thread = None
        cdef bint watch = False, run = False
        with self.lock:
            if self.stopped:
                raise ExecutorStopped("the executor is shut down")
            if self.busy < self.allowed:
                self.busy += 1
                thread = self.claim_thread()
                run = True
            elif len(self.backlog) < self.backlog_limit:
                self.backlog.append(job)
                watch = not self.watching
                self.watching = True
            else:
                raise ExecutorFull(
                    f"{self.busy} calls are running and {self.backlog_limit} wait: raise --threads or --threads-backlog"
                )
        if run:
            self.dispatch(job, thread)
        elif watch:
            self.start_watch()
        return job.future

    def submit_now(self, function, /, *args, lane=None, context=None, **kwargs):
        """As ``submit``, before all that queues, and beyond the slots once these are held up; it cannot be cancelled.

        For work that ends what others wait for, such as handing a connection back.
        """
        cdef _Job job = make_job(function, args, kwargs, lane, context)
        cdef object thread = None
        cdef bint watch = False, run = False
        job.future.set_running()
        with self.lock:
            if self.stopped:
                raise ExecutorStopped("the executor is shut down")
            if self.busy < self.allowed:
                self.busy += 1
                thread = self.claim_thread()
                run = True
            else:
                self.urgent.append(job)
                watch = not self.watching
                self.watching = True
        if run:
            self.dispatch(job, thread)
        elif watch:
            self.start_watch()
        return job.future

    cdef object claim_thread(self):
        # Under the lock. The queue of an idle thread, the last that became so; None if a new one is needed.
        if self.idle:
            return self.idle.pop()
        self.threads += 1
        return None

    cdef object dispatch(self, object job, object thread):
        # The job has its slot already, and `thread` is what `claim_thread` gave.
        if thread is not None:
            thread.put(job)
            return None
        try:
            start_thread(self.work, (job,), self.name)
        except BaseException:
            with self.lock:
                self.busy -= 1
                self.threads -= 1
            raise

    cdef object queued_job(self):
        # Under the lock. What a thread that has a slot does next, or None.
        if self.urgent:
            return self.urgent.popleft()
        if self.backlog and self.busy <= self.allowed:
            return self.backlog.popleft()
        return None

    cdef object next_job(self, bint* idle):
        # A server thread keeps the slot when there is a queued job, gives it back when there is none;
        # `idle` tells whether it is parked then.
        cdef object job
        with self.lock:
            self.finished += 1
            self.turns += 1
            job = self.queued_job()
            if job is not None:
                return job
            self.busy -= 1
            self.here -= 1
            idle[0] = self.too_many()
            return None

    cdef bint too_many(self):
        # Under the lock. Whether more server threads than there are cores take turns at short jobs.
        cdef unsigned long ident = PyThread_get_thread_ident()
        cdef double now
        cdef bint brisk
        if ident != self.last:
            self.last = ident
            self.recent.add(ident)
        if self.turns - self.since < BRISK:
            return False
        now = time.monotonic()
        brisk = now - self.since_when <= NAP
        self.since, self.since_when = self.turns, now
        if brisk and len(self.recent) > self.cores and not self.parked and now >= self.pause_ends and not self.stopped:
            self.parked = True
        else:
            brisk = False
        self.recent.clear()
        self.last = 0
        return brisk

    def run_alone(self, job):
        self.run_job(job)

    cdef object run_job(self, object job):
        # Whatever comes of it, the thread gives its slot back and takes the next.
        try:
            if type(job) is _Job:
                (<_Job>job).run()
            else:
                (<tuple>job)[0]((<tuple>job)[1])
        except BaseException as exc:
            logger.error("A call on a thread could not be ended\n", exc_info=exc)

    def work(self, job):
        """A pool thread's life: run jobs, then idle for a while, then end."""
        # One for each thread: those that wait on one queue contend for its lock.
        handoff = queue.SimpleQueue()
        while True:
            while job is not None:
                self.run_job(job)
                job = None
                with self.lock:
                    self.finished += 1
                    job = self.queued_job()
                    if job is None:
                        self.busy -= 1
                        if self.stopped:
                            self.threads -= 1
                            return
                        self.idle.append(handoff)
            try:
                job = handoff.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self.lock:
                    # A dispatcher that counts on us has taken it already.
                    if handoff in self.idle:
                        self.idle.remove(handoff)
                        self.threads -= 1
                        return
                job = handoff.get()
            if job is None:
                with self.lock:
                    self.threads -= 1
                return

    cdef object park(self):
        """Keep this server thread from work for as long as the others are quick.

        It would only take turns with them, and what one thread makes of a request and another
        frees is slow to come by again. When they are held up, it is needed at once.
        """
        cdef unsigned long long seen = self.turns
        cdef double began = time.monotonic(), now
        while True:
            time.sleep(NAP)
            with self.lock:
                if self.turns - seen >= BRISK and not self.stopped:
                    seen = self.turns
                    continue
                self.parked = False
                if self.here >= self.cores:
                    now = time.monotonic()
                    if now - began > LAST_PAUSE:
                        self.pause = FIRST_PAUSE
                    self.pause_ends = now + self.pause
                    self.pause = min(self.pause * 2, LAST_PAUSE)
                return None

    cdef object start_watch(self):
        try:
            start_thread(self.watch, (), f"{self.name}-watch")
        except RuntimeError as exc:
            # What is queued runs when a slot is given back; the next that queues tries again.
            with self.lock:
                self.watching = False
            logger.error("%s cannot watch its queue: %s.", self.name, exc)

    def watch(self):
        """Adjust the slots until the queue has been empty for a while."""
        while True:
            try:
                self.adjust()
                return
            except BaseException as exc:
                logger.error("%s's watch failed, and goes on\n", self.name, exc_info=exc)

    cdef object adjust(self):
        cdef unsigned long long seen = self.finished
        cdef int stalled = 0, quiet = 0, grow
        cdef bint held_up, told = False
        cdef double cpu = time.process_time(), wall = time.monotonic(), now_cpu, now_wall
        cdef list started
        while True:
            time.sleep(TICK)
            now_cpu, now_wall = time.process_time(), time.monotonic()
            busy_share = (now_cpu - cpu) / max(now_wall - wall, 1e-6) / self.cores
            cpu, wall = now_cpu, now_wall
            started = []
            with self.lock:
                if self.stopped:
                    self.watching = False
                    return
                if not self.backlog and not self.urgent:
                    quiet += 1
                    if quiet > 250:
                        self.watching = False
                        self.allowed = min(self.cores, self.limit)
                        return
                    continue
                quiet = 0
                held_up = self.finished == seen
                stalled = stalled + 1 if held_up else 0
                seen = self.finished
                grow = 0
                if busy_share < SATURATED:
                    grow = max(1, self.allowed // 2)
                elif stalled >= STALLED_TICKS:
                    grow, stalled = 1, 0
                elif stalled == 0 and self.allowed > self.cores:
                    self.allowed -= 1
                self.allowed = min(self.limit, self.allowed + grow)
                while self.urgent and (held_up or self.busy < self.allowed):
                    self.busy += 1
                    started.append((self.urgent, self.urgent.popleft(), self.claim_thread()))
                while self.backlog and self.busy < self.allowed:
                    self.busy += 1
                    started.append((self.backlog, self.backlog.popleft(), self.claim_thread()))
            for waiting, job, thread in reversed(started):
                try:
                    self.dispatch(job, thread)
                except RuntimeError as exc:  # no more threads for now: it waits on, in its place
                    with self.lock:
                        waiting.appendleft(job)
                    if not told:
                        told = True
                        logger.error("%s: %s; calls wait until that can be.", self.name, exc)

    def shutdown(self):
        """Refuse new jobs, cancel the queued ones, let the running ones end."""
        cdef list dropped, due, idle
        with self.lock:
            self.stopped = True
            dropped = list(self.backlog)
            self.backlog.clear()
            due = list(self.urgent)
            self.urgent.clear()
            idle, self.idle = self.idle, []
        for handoff in idle:
            handoff.put(None)
        for job in due:
            try:
                start_thread(self.run_alone, (job,), self.name)
            except RuntimeError as exc:
                (<_Job>job).future.finish(FAILED, exc)
        for job in dropped:
            if type(job) is _Job:
                (<_Job>job).future.finish(CANCELLED, None)


cdef _Job make_job(object function, tuple args, dict kwargs, object lane, object context):
    cdef _Job job = _Job.__new__(_Job)
    job.future = FastFuture(lane)
    job.context = contextvars.copy_context() if context is None else context
    job.function = function
    job.args = args
    job.kwargs = kwargs
    return job


def usable_cores():
    """Cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


cdef object start_thread(object target, tuple args, str name):
    # Free-threaded 3.14 lets threads inherit the spawner's context: give an empty one.
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    contextvars.Context().run(thread.start)
