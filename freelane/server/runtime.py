"""An app on one event loop: what the server's workers, ``wrap`` and the gil lane's processes share."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import logging
import time
from collections.abc import Callable
from typing import Any

from freelane.adapters.registry import Way, adapt
from freelane.errors import ConfigError
from freelane.fastcore.asgi.gateway import Gateway
from freelane.fastcore.threads.executor import Executor
from freelane.fastcore.threads.loop_queue import LoopQueue
from freelane.server import shutdown
from freelane.server.lifespan import Lifespan
from freelane.settings import Settings

logger = logging.getLogger("freelane.error")

# How often the end looks whether requests still run (seconds).
LOOK = 0.02


class Runtime:
    """``app`` on ``loop``. All of it belongs to the thread that runs the loop, the app's lifespan included.

    In this order: ``startup``, ``bind``, requests through ``gateway`` and ``way``, ``drain``,
    ``shutdown``, ``clear``, ``close``. ``lane`` and ``executor`` are None under another RSGI
    server, which calls on the loop.
    """

    def __init__(
        self, app: Any, settings: Settings, loop: asyncio.AbstractEventLoop,
        lane: LoopQueue | None = None, executor: Executor | None = None,
    ) -> None:  # fmt: skip
        self.app = app
        self.settings = settings
        self.loop = loop
        self.lane = lane
        self.executor = executor
        self.lifespan = Lifespan(app)
        self.gateway: Gateway | None = None
        self.way: Way | None = None
        # Whether some requests are answered on the server's threads.
        self.direct = False

    @classmethod
    def with_threads(
        cls, app: Any, settings: Settings, name: str, loop: asyncio.AbstractEventLoop | None = None, cores: int = 0
    ) -> Runtime:
        """A runtime with threads called ``name``, on ``loop`` or a new one; ``cores`` as ``Executor`` takes it."""
        loop = make_loop(settings.loop) if loop is None else loop
        return cls(app, settings, loop, LoopQueue(loop), Executor(settings.threads, settings.threads_backlog, name, cores))

    async def startup(self) -> None:
        """Run the app's startup. Raises StartupError."""
        if self.settings.lifespan != "off":
            await self.lifespan.startup(required=self.settings.lifespan == "on")

    def bind(self, kind: type[Gateway] = Gateway, **options: Any) -> Gateway:
        """Make the gateway, of ``kind`` with ``options``, and the way of its requests past the app's own layers."""
        # After startup, which may still change the app.
        # A thread cannot be told to stop: where requests have a time, `def` endpoints are awaited on the loop.
        executor = self.executor if self.settings.request_timeout is None else None
        adapted = adapt(self.app, executor, self.lane)
        self.gateway = kind(
            adapted.app,
            self.loop,
            lane=self.lane,
            state=self.lifespan.state,
            context=contextvars.Context() if self.settings.reset_contextvars else contextvars.copy_context(),
            logger=logger,
            **options,
        )
        self.way = adapted.bind(self.gateway)
        self.direct = adapted.direct
        return self.gateway

    @property
    def schedule(self) -> Callable[[Any], None]:
        """What takes a request from Granian, on its thread."""
        assert self.gateway is not None
        return self.gateway.schedule if self.way is None else self.way.schedule

    def tasks(self) -> list[asyncio.Task[Any]]:
        """Those of the requests in progress."""
        active = () if self.gateway is None else self.gateway.active
        return [exchange.task for exchange in active if exchange.task is not None]

    async def drain(self, deadline: float, waiting: Callable[[], bool] = lambda: False) -> None:
        """Wait for requests, their background work and what is ``waiting``, at most until ``deadline`` (``time.monotonic``)."""
        while (waiting() or self.runs()) and time.monotonic() < deadline:
            await asyncio.sleep(LOOK)

    def running(self) -> int:
        """About how many requests and WebSockets are in progress; any thread may ask."""
        executor = self.executor
        there = 0 if executor is None else executor.busy_slots + executor.queued
        return there + (0 if self.gateway is None else len(self.gateway.active))

    def runs(self) -> bool:
        """Whether requests or threads still work: a `def` background task is none of the ``active`` after its response."""
        if self.executor is not None and self.executor.busy_slots:
            return True
        return self.gateway is not None and bool(self.gateway.active)

    async def cut_off(self) -> None:
        """Cancel the requests that still run."""
        await shutdown.cut_off(self.tasks(), self.settings.patience)

    async def shutdown(self) -> None:
        """Run the app's shutdown, where its startup ran."""
        await self.lifespan.shutdown()

    def finish(self) -> None:
        """``shutdown``, then end all else on the loop, which nobody runs afterwards."""
        self.loop.run_until_complete(self.shutdown())
        self.loop.run_until_complete(shutdown.clear())

    def close(self) -> None:
        """Let go of the threads and of the loop."""
        if self.lane is not None:
            self.lane.close()
        if self.executor is not None:
            self.executor.shutdown()
        self.loop.close()


def make_loop(wanted: str) -> asyncio.AbstractEventLoop:
    """asyncio's loop, or what ``module:factory`` makes. Raises ConfigError."""
    module, colon, name = wanted.partition(":")
    if not colon:
        return asyncio.new_event_loop()
    try:
        loop = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"--loop {wanted} cannot be had: {exc}") from None
    if not isinstance(loop, asyncio.AbstractEventLoop):
        raise ConfigError(f"--loop {wanted} makes a {type(loop).__name__}, which is no event loop")
    return loop
