"""An ASGI app as an RSGI application, for any RSGI server: what ``freelane.wrap`` returns."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from freelane.adapters.registry import route_table
from freelane.gil_lane.decorator import marked
from freelane.server.forwarded import ForwardedHeaders
from freelane.server.runtime import Runtime
from freelane.settings import Settings

logger = logging.getLogger("freelane.error")

# What an app gets to stop once its time is over (seconds).
LAST_STEPS = 3


class WrappedRuntime(Runtime):
    """A runtime whose requests are tasks of another server's, on its loop."""

    # The startup, where the loop ran already: requests wait for it.
    started: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Run the app's startup. Raises StartupError when it fails and the loop is not running yet."""
        if self.loop.is_running():
            # The server cannot wait for it here.
            self.started = self.loop.create_task(self.startup())
        else:
            self.loop.run_until_complete(self.startup())

    async def serve(self, scope: Any, protocol: Any) -> None:
        """One request or WebSocket, in the current task."""
        if self.started is not None:
            await self.started
        gateway = self.gateway
        if gateway is None:
            gateway = self.bind_here()
        exchange = gateway.open(scope, protocol)
        exchange.task = asyncio.current_task()
        if self.way is not None and scope.proto == "http":
            self.way.take(exchange)
        await exchange.run()

    def bind_here(self) -> Any:
        settings = self.settings
        forwarded = ForwardedHeaders(settings.forwarded_allow_ips) if settings.proxy_headers else None
        gateway = self.bind(root_path=settings.root_path, forwarded=forwarded, extensions={})
        count = sum(entry.gil or marked(entry.endpoint) for entry in route_table(self.app).entries)
        if count:
            logger.warning(
                "%d routes are marked for the gil lane, which only `freelane run` has: here they run in this process.", count
            )
        return gateway

    async def stop(self, patience: float) -> None:
        """Let what runs end, background work after a response included, then the app's lifespan."""
        await self.drain(time.monotonic() + patience)
        await self.cut_off()
        await self.shutdown()

    def finish(self) -> None:
        self.loop.run_until_complete(self.stop(self.settings.patience))
        super().finish()


class RSGIApplication:
    """What ``wrap`` returns. It may serve several event loops, each with a lifespan of its own.

    Under ``freelane run`` or ``freelane.serve`` it is unwrapped again, so that wrapping
    costs nothing there; under another RSGI server requests are tasks of that server.
    """

    def __init__(self, app: Any, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        # Keyed by loop; a loop's entry is touched by its own thread only.
        self.runtimes: dict[asyncio.AbstractEventLoop, WrappedRuntime] = {}

    def runtime_on(self, loop: asyncio.AbstractEventLoop) -> WrappedRuntime:
        """A new runtime on ``loop``."""
        for other in list(self.runtimes):
            if other.is_closed():
                self.runtimes.pop(other, None)
        runtime = self.runtimes[loop] = WrappedRuntime(self.app, self.settings, loop)
        return runtime

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the app's startup. Raises StartupError when it fails and the loop is not running yet."""
        self.runtime_on(loop).begin()

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let requests end, then run the app's shutdown.

        Granian, for one, calls this when the last response is sent: what an app does after
        that is a task that is not done, on a loop that has stopped.
        """
        # The entry stays: Granian does not close its loop, and one that is collected unclosed complains.
        runtime = self.runtimes.get(loop)
        if runtime is None or loop.is_closed():
            return
        if loop.is_running():
            loop.create_task(runtime.stop(self.settings.patience))
        else:
            runtime.finish()

    def close(self) -> None:
        """Stop the app on loops that still run and close the others, from a thread without a loop.

        Granian closes none, and on free-threaded builds it leaves a worker that does not end running.
        """
        for loop, runtime in list(self.runtimes.items()):
            if loop.is_running():
                with contextlib.suppress(TimeoutError):
                    asyncio.run_coroutine_threadsafe(runtime.stop(0), loop).result(LAST_STEPS)
            else:
                loop.close()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """One request or WebSocket, in the RSGI server's own task."""
        loop = asyncio.get_running_loop()
        runtime = self.runtimes.get(loop)
        if runtime is None:
            runtime = self.runtime_on(loop)
        await runtime.serve(scope, protocol)
