"""The end of an event loop's work: running requests first, then what they left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Collection
from typing import Any, NoReturn

logger = logging.getLogger("freelane.error")

# What a cancelled task gets to end (seconds).
LAST_STEPS = 1.0


async def cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel ``tasks`` and let them end."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=LAST_STEPS)


async def cut_off(requests: Collection[asyncio.Task[Any]], allowed: int) -> None:
    """Cancel requests that still run, background work included, ``allowed`` seconds after the stop."""
    if requests:
        logger.error("%d requests did not end within the shutdown timeout of %d s and were cancelled.",
                     len(requests), allowed)  # fmt: skip
    await cancel(requests)


async def clear() -> None:
    """Cancel every other task of the running loop and end its async generators, as ``asyncio.run`` does.

    A thread of anyio's ends with the task it was started for: one whose task never ends
    would keep the interpreter waiting for good.
    """
    await cancel(asyncio.all_tasks() - {asyncio.current_task()})
    await asyncio.get_running_loop().shutdown_asyncgens()


def end_threads(code: int, deadline: float) -> None:
    """Wait for the app's threads until ``deadline`` (of ``time.monotonic``), then exit with ``code`` past them.

    The interpreter itself would wait for as long as they take.
    """
    # Those that were told to end a moment ago are let go in any case.
    deadline = max(deadline, time.monotonic() + LAST_STEPS)
    for thread in threading.enumerate():
        if thread.daemon or thread is threading.current_thread():
            continue
        # Signals are handled between the steps of this thread, so it must not sleep in a lock.
        while thread.is_alive() and time.monotonic() < deadline:
            thread.join(0.05)
        if thread.is_alive():
            logger.error("The thread '%s' did not end within the shutdown timeout.", thread.name)
            leave(code)


def leave(code: int) -> NoReturn:
    """End the process without waiting for anything more."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
