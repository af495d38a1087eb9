"""Where `def` code runs when a loop asks for it: the worker's executor, or anyio's threads without freelane."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import anyio.to_thread

from freelane.fastcore.threads.executor import ExecutorFull
from freelane.fastcore.threads.future import FastFuture

logger = logging.getLogger("freelane.pyre")

# Written while a worker starts, read by its own loop's thread.
executors: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, Any]] = WeakKeyDictionary()


class Overloaded(Exception):
    """Too many calls wait for a thread."""


async def on_thread(function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)`` on a thread, in a copy of the context. Raises Overloaded."""
    found = executors.get(asyncio.get_running_loop())
    if found is None:
        return await anyio.to_thread.run_sync(function, *args)
    executor, lane = found
    try:
        future = executor.submit(function, *args, lane=lane)
    except ExecutorFull:
        raise Overloaded from None
    return await future


class GILThread:
    """The one thread that routes with ``gil=True`` run on while there is no gil lane.

    Code that relies on never running twice at once keeps that on free-threaded Python.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.thread: threading.Thread | None = None

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """``function(*args)`` on the thread, in a copy of the context."""
        found = executors.get(asyncio.get_running_loop())
        future: FastFuture[Any] = FastFuture(found[1] if found else None)
        self.start()
        self.jobs.put((future, contextvars.copy_context(), function, args))
        return await future

    def start(self) -> None:
        with self.lock:
            if self.thread is None or not self.thread.is_alive():
                self.thread = threading.Thread(target=self.work, name="freelane-gil", daemon=True)
                self.thread.start()

    def work(self) -> None:
        while True:
            future, context, function, args = self.jobs.get()
            if not future.set_running():
                continue
            try:
                result = context.run(function, *args)
            except BaseException as exc:
                future.set_exception(exc)
            else:
                future.set_result(result)
            # What a job refers to must not live until the next one.
            future = context = function = args = result = None
