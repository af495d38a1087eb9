"""The end of an event loop's work: running requests first, then what they left behind."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
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


@dataclass
class Last:
    """What ``atexit`` runs when all else was run: registered here, before the app is imported.

    An interpreter takes its whole heap apart at its end, a second's work on free-threaded Python.
    Under uvicorn SIGTERM spares it that, since it ends the process; here, the exit with ``code``.
    """

    code: int | None = None

    def __call__(self) -> None:
        if self.code is not None:
            leave(self.code)


last = Last()
atexit.register(last)


def end_threads(code: int, deadline: float, interrupted: bool) -> None:
    """Let the interpreter end now, but do not let the app's threads hold it: exit with ``code`` past them.

    As under uvicorn, which SIGTERM ends without a look at any thread, and which waits for them
    where it was ``interrupted`` (Ctrl-C): here until ``deadline`` (of ``time.monotonic``). Idle
    pools end by themselves, and what ``atexit`` has is run where no thread is in its way.
    """
    last.code = None if interrupted else code
    joined = threading.Event()
    atexit.register(joined.set)  # the last one registered runs first

    def watch() -> None:
        patience = max(LAST_STEPS, deadline - time.monotonic() if interrupted else 0)
        if not joined.wait(patience):
            main = threading.main_thread()
            busy = [thread.name for thread in threading.enumerate() if not thread.daemon and thread is not main]
            logger.error("%s did not end: not waited for any longer.", ", ".join(f"The thread '{name}'" for name in busy))
        else:
            time.sleep(max(LAST_STEPS, deadline - time.monotonic()))
            logger.error("What the app registered with atexit did not end within the shutdown timeout.")
        leave(code)

    threading.Thread(target=watch, name="freelane-end", daemon=True).start()


def leave(code: int) -> NoReturn:
    """End the process without waiting for anything more."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
