"""A thread with an event loop: another side's code runs there, so that it never keeps an answer waiting."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from freelane.fastcore.threads.loop_queue import LoopQueue
from freelane.server import shutdown

# What a loop that is asked to end gets until nobody waits for it (seconds).
PATIENCE = 5.0


# As nice(1): a thread of this priority gets a tenth of a core that others want.
NICE = 10


def yield_cores() -> None:
    """Let other threads of this process go first. Not with the GIL, which this one would keep from them for longer."""
    if sys.platform == "linux" and not getattr(sys, "_is_gil_enabled", lambda: True)():
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class LoopThread:
    """``start``, then ``run`` and ``post`` from anywhere, then ``close``."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        # Whether nobody waits for what it does; set before ``start``.
        self.background = False
        self.queue = LoopQueue(self.loop)
        # A side that never returns must not keep the process: daemon. A thread inherits the context from 3.14 on only.
        self.thread = threading.Thread(target=contextvars.copy_context().run, args=(self.main,), name=name, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def main(self) -> None:
        asyncio.set_event_loop(self.loop)
        if self.background:
            yield_cores()
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(shutdown.clear())
        finally:
            self.queue.close()
            self.loop.close()

    async def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Await it over there; cancelled with who waits."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.loop))

    def post(self, callback: Callable[[Any], object], argument: Any) -> bool:
        """Call it over there, soon; one wake-up for many. False once the loop is closed."""
        return self.queue.post(callback, argument)

    async def close(self) -> bool:
        """End the thread; False if it does not listen."""
        if not self.thread.is_alive():
            return True
        self.loop.call_soon_threadsafe(self.loop.stop)
        await asyncio.to_thread(self.thread.join, PATIENCE)
        return not self.thread.is_alive()
