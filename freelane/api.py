"""``wrap``: an ASGI app as an RSGI application, for any RSGI server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from freelane import alias
from freelane.adapters.registry import Way, adapt, route_table
from freelane.errors import ConfigError
from freelane.fastcore.asgi.gateway import Gateway
from freelane.gil_lane.routes import told
from freelane.server import shutdown
from freelane.server.forwarded import ForwardedHeaders
from freelane.server.lifespan import Lifespan
from freelane.settings import Settings, resolve

logger = logging.getLogger("freelane.error")

# What an app gets to stop once its time is over (seconds).
LAST_STEPS = 3

# The settings that mean something without freelane's own server around the app.
OPTIONS = ("root_path", "lifespan", "proxy_headers", "forwarded_allow_ips", "shutdown_timeout")


class Serving:
    """An app on one event loop: its lifespan, its gateway and the requests that run."""

    def __init__(self, app: Any, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.settings = settings
        self.loop = loop
        self.lifespan: Lifespan | None = None
        self.started: asyncio.Task[None] | None = None
        self.gateway: Gateway | None = None
        self.way: Way | None = None
        self.requests: set[asyncio.Task[Any]] = set()

    async def run(self, scope: Any, protocol: Any) -> None:
        """One request or WebSocket, in the current task."""
        task = asyncio.current_task()
        assert task is not None
        self.requests.add(task)
        try:
            if self.started is not None:
                await self.started
            gateway = self.gateway
            if gateway is None:
                gateway = self.gateway = self.make_gateway()
            exchange = gateway.open(scope, protocol)
            if self.way is not None and scope.proto == "http":
                self.way.take(exchange)
            await exchange.run()
        finally:
            self.requests.discard(task)

    async def shutdown(self, patience: float) -> None:
        """Let what runs end, background work after a response included, then the app's lifespan."""
        if self.requests:
            await asyncio.wait(set(self.requests), timeout=patience)
            await shutdown.cut_off(set(self.requests), self.settings.shutdown_timeout)
        lifespan, self.lifespan = self.lifespan, None
        if lifespan is not None:
            await lifespan.shutdown()

    async def finish(self) -> None:
        """``shutdown``, then end all else on the loop, which nobody runs afterwards."""
        await self.shutdown(self.settings.shutdown_timeout)
        await shutdown.clear()

    def make_gateway(self) -> Gateway:
        settings = self.settings
        adapted = adapt(self.app)
        gateway = Gateway(
            adapted.app,
            self.loop,
            root_path=settings.root_path,
            state={} if self.lifespan is None else self.lifespan.state,
            forwarded=ForwardedHeaders(settings.forwarded_allow_ips) if settings.proxy_headers else None,
            logger=logger,
            extensions={},
        )
        self.way = adapted.bind(gateway)
        reasons = told(route_table(self.app), [])[0]
        if reasons:
            logger.warning(
                "%d routes are marked for the gil lane, which only `freelane run` has: here they run in this process.",
                len(reasons),
            )
        return gateway


class RSGIApplication:
    """What ``wrap`` returns. It may serve several event loops, each with a lifespan of its own.

    Under ``freelane run`` or ``freelane.serve`` it is unwrapped again, so that wrapping
    costs nothing there; under another RSGI server requests are tasks of that server.
    """

    def __init__(self, app: Any, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        # Keyed by loop; a loop's entry is touched by its own thread only.
        self.serving: dict[asyncio.AbstractEventLoop, Serving] = {}

    def serve_on(self, loop: asyncio.AbstractEventLoop) -> Serving:
        for other in list(self.serving):
            if other.is_closed():
                self.serving.pop(other, None)
        serving = self.serving[loop] = Serving(self.app, self.settings, loop)
        return serving

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the app's startup. Raises StartupError when it fails and the loop is not running yet."""
        serving = self.serve_on(loop)
        if self.settings.lifespan == "off":
            return
        serving.lifespan = Lifespan(self.app)
        if loop.is_running():
            # The server cannot wait for it here: requests do.
            serving.started = loop.create_task(serving.lifespan.startup())
        else:
            loop.run_until_complete(serving.lifespan.startup())

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let requests end, then run the app's shutdown.

        Granian, for one, calls this when the last response is sent: what an app does after
        that is a task that is not done, on a loop that has stopped.
        """
        # The entry stays: Granian does not close its loop, and one that is collected unclosed complains.
        serving = self.serving.get(loop)
        if serving is None or loop.is_closed():
            return
        if loop.is_running():
            loop.create_task(serving.shutdown(self.settings.shutdown_timeout))
        else:
            loop.run_until_complete(serving.finish())

    def close(self) -> None:
        """Stop the app on loops that still run and close the others, from a thread without a loop.

        Granian closes none, and on free-threaded builds it leaves a worker that does not end running.
        """
        for loop, serving in list(self.serving.items()):
            if loop.is_running():
                with contextlib.suppress(TimeoutError):
                    asyncio.run_coroutine_threadsafe(serving.shutdown(0), loop).result(LAST_STEPS)
            else:
                loop.close()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """One request or WebSocket, in the RSGI server's own task."""
        loop = asyncio.get_running_loop()
        serving = self.serving.get(loop)
        if serving is None:
            serving = self.serve_on(loop)
        await serving.run(scope, protocol)


def wrap(app: Any, **options: Any) -> RSGIApplication:
    """An RSGI application that serves the ASGI app ``app``, unchanged.

    Options are ``root_path``, ``lifespan`` ("auto" or "off"), ``proxy_headers``,
    ``forwarded_allow_ips`` and ``shutdown_timeout`` (seconds that background work gets once
    the server has stopped), as for ``freelane run``. Raises ConfigError for another one.
    RSGI: https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md
    """
    if isinstance(app, RSGIApplication):
        raise ConfigError("the app is wrapped already")
    if not callable(app):
        raise ConfigError(f"a {type(app).__name__} is no ASGI app: it cannot be called")
    for name in options:
        if name not in OPTIONS:
            raise ConfigError(f"wrap() takes no option '{name}': it takes {', '.join(OPTIONS)}")
    return RSGIApplication(app, resolve(options))


def serve(app: Any, **options: Any) -> int:
    """Serve ``app``, an ASGI app or a "module:app" string, until SIGINT or SIGTERM.

    Options are the fields of ``freelane.settings.Settings``. Blocks; call it from the main
    thread. Returns the exit code: 0, or 3 if the app's startup failed. Raises ConfigError
    for an option that cannot be used.
    """
    from freelane.loader import check, load
    from freelane.server import constants
    from freelane.server.host import Server

    settings = resolve(options)
    if settings.alias is not None:
        alias.install(settings.alias)
    if isinstance(app, str):
        target = app
        constants.install()
        return Server(lambda: load(target, factory=settings.factory, app_dir=settings.app_dir), settings, target).run()
    if isinstance(app, RSGIApplication):
        app = app.app
    if settings.factory:
        factory = app
        return Server(lambda: factory(), settings).run()
    check(app, getattr(app, "__name__", type(app).__name__), False)
    return Server(lambda: app, settings).run()
