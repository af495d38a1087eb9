"""Run Starlette's `def` endpoints on freelane's executor instead of anyio's thread pool.

Nothing changes for the endpoint: it runs in a copy of the request's context, cannot be
cancelled once it has begun, and may call back into the loop with ``anyio.from_thread``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import anyio.to_thread
from anyio import CancelScope, CapacityLimiter
from anyio.lowlevel import current_token
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, request_response

from freelane.adapters.compat import anyio_gate, starlette_gate, versions
from freelane.adapters.starlette.routes import function_of, walk
from freelane.fastcore.routing.watch import Watch
from freelane.fastcore.threads.executor import ExecutorFull

# The executor that serves each loop; endpoints find theirs by the loop they are awaited on,
# since several workers may share one app object.
calls_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, ThreadCalls] = WeakKeyDictionary()


class ThreadCalls:
    """Calls functions on one worker's executor, as anyio's worker threads would."""

    def __init__(self, executor: Any, lane: Any) -> None:
        self.executor = executor
        self.lane = lane
        token = lane.loop.run_until_complete(self.prepare())
        # Makes this thread one that ``anyio.from_thread`` works on.
        self.enter = partial(anyio_gate.enter_thread, token, self.scope)
        calls_by_loop[lane.loop] = self

    async def prepare(self) -> Any:
        # The app may have changed anyio's limit in its lifespan: it means these threads.
        limiter = anyio.to_thread.current_default_thread_limiter()
        if limiter.total_tokens != 40:
            self.executor.set_limit(int(min(limiter.total_tokens, 10_000)))
        # Older releases want a scope for what is called back: one that nobody enters, so that nobody cancels it.
        self.scope = CancelScope() if anyio_gate.BACKEND_APART else None
        return current_token()

    def call(self, function: Callable[..., Any], request: Any, *more: Any) -> Any:
        return self.entered(function, (request, *more), {})

    def entered(self, function: Callable[..., Any], args: tuple[Any, ...], arguments: dict[str, Any]) -> Any:
        self.enter()
        try:
            return function(*args, **arguments)
        except StopIteration as exc:
            raise as_awaited(exc) from exc

    async def run(self, function: Callable[..., Any], request: Any, *more: Any) -> Any:
        """``function(request, *more)`` on a thread; 503 when too many wait for one."""
        try:
            future = self.executor.submit(self.noted, function, request, *more, lane=self.lane)
        except ExecutorFull:
            return overloaded()
        return await future

    def noted(self, function: Callable[..., Any], request: Any, *more: Any) -> Any:
        # Read by `freelane run --show-lanes`.
        request.scope["freelane.lane"] = ("free", thread_name())
        return self.call(function, request, *more)


def as_awaited(error: BaseException) -> BaseException:
    """What awaiting a thread raises if the thread raised ``error`` (PEP 479)."""
    return RuntimeError("coroutine raised StopIteration") if isinstance(error, StopIteration) else error


async def on_executor(function: Callable[..., Any], /, *args: Any, **arguments: Any) -> Any:
    """``function(*args, **arguments)`` on the executor of the running loop. Raises ExecutorFull.

    On anyio's threads where no executor serves the loop.
    """
    calls = calls_by_loop.get(asyncio.get_running_loop())
    if calls is None:
        return await run_in_threadpool(function, *args, **arguments)
    return await calls.executor.submit(calls.entered, function, args, arguments, lane=calls.lane)


def on_any_thread(call: Callable[..., Any]) -> Callable[..., Any]:
    """``call(request, *more)`` as a coroutine function of whichever loop awaits it, on that one's threads."""

    async def awaited(*args: Any) -> Any:
        calls = calls_by_loop.get(asyncio.get_running_loop())
        return await (run_in_threadpool(call, *args) if calls is None else calls.run(call, *args))

    return awaited


async def beyond_limit(function: Callable[..., Any], /, *args: Any) -> Any:
    """As ``on_executor``, on a thread more than its limit if need be: for what others may wait for.

    Runs to its end whatever happens to the task that awaits it.
    """
    calls = calls_by_loop.get(asyncio.get_running_loop())
    if calls is not None:
        return await calls.executor.submit_now(calls.entered, function, args, {}, lane=calls.lane)
    with CancelScope(shield=True):
        return await anyio.to_thread.run_sync(function, *args, limiter=CapacityLimiter(1))


def thread_name() -> str:
    """This thread's name; the server's own threads have none that Python knows."""
    name = threading.current_thread().name
    return f"granian-{threading.get_native_id()}" if name.startswith("Dummy-") else name


def overloaded() -> PlainTextResponse:
    return PlainTextResponse("Service Unavailable", status_code=503, headers={"retry-after": "1"})


def on_thread(function: Callable[..., Any], threads: Watch) -> Callable[[Any], Any]:
    """The ``async def`` endpoint that runs a `def` endpoint on a thread; Starlette's way once ``threads`` changed."""

    async def endpoint(request: Any) -> Any:
        calls = calls_by_loop.get(asyncio.get_running_loop())
        if calls is None or not threads.holds():  # without a server, in a test client for one
            return await run_in_threadpool(function, request)
        return await calls.run(function, request)

    return endpoint


def move_endpoints(routes: Iterable[BaseRoute]) -> None:
    """Point every `def` route of Starlette's own making to ``on_thread``. Does it once."""
    if versions.replaced(starlette_gate.THREADS):
        return
    threads = versions.watch(starlette_gate.THREADS)
    for route in walk(routes):
        holder: Any = route
        while hasattr(getattr(holder, "app", None), "app"):
            holder = holder.app  # route middleware
        app = getattr(holder, "app", None)
        found = function_of(app)
        if found is not None and found[1] == "free" and not hasattr(app, "freelane_moved"):
            holder.app = request_response(on_thread(found[0], threads))
            holder.app.freelane_moved = found[0]
