"""``wrap``: an ASGI app as an RSGI application, for any RSGI server."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from freelane import alias, config
from freelane.adapters import Way, adapt, route_table
from freelane.errors import ConfigError
from freelane.fastcore.gateway import Gateway
from freelane.gil_lane.routes import told
from freelane.lifespan import Lifespan
from freelane.proxies import ForwardedHeaders

logger = logging.getLogger("freelane.error")

# The settings that mean something without freelane's own server around the app.
OPTIONS = ("root_path", "lifespan", "proxy_headers", "forwarded_allow_ips")


class RSGIApplication:
    """What ``wrap`` returns. One instance serves one event loop at a time.

    Under ``freelane run`` or ``freelane.serve`` it is unwrapped again, so that wrapping
    costs nothing there; under another RSGI server requests are tasks of that server.
    """

    def __init__(self, app: Any, settings: config.Settings) -> None:
        self.app = app
        self.settings = settings
        self.lifespan: Lifespan | None = None
        self.gateway: Gateway | None = None
        self.way: Way | None = None
        self.started: asyncio.Task[None] | None = None

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the app's startup. Raises StartupError when it fails and the loop is not running yet."""
        if self.settings.lifespan == "off":
            return
        self.lifespan = Lifespan(self.app)
        if loop.is_running():
            # The server cannot wait for it here: requests do.
            self.started = loop.create_task(self.lifespan.startup())
        else:
            loop.run_until_complete(self.lifespan.startup())

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the app's shutdown."""
        lifespan, self.lifespan, self.gateway, self.started = self.lifespan, None, None, None
        if lifespan is None:
            return
        if loop.is_running():
            loop.create_task(lifespan.shutdown())
        elif not loop.is_closed():
            loop.run_until_complete(lifespan.shutdown())

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """One request or WebSocket, in the RSGI server's own task."""
        if self.started is not None:
            await self.started
        gateway = self.gateway
        if gateway is None or gateway.loop is not asyncio.get_running_loop():
            gateway = self.gateway = self.make_gateway()
        exchange = gateway.open(scope, protocol)
        if self.way is not None:
            self.way.take(exchange)
        await exchange.run()

    def make_gateway(self) -> Gateway:
        settings = self.settings
        adapted = adapt(self.app)
        gateway = Gateway(
            adapted.app,
            asyncio.get_running_loop(),
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


def wrap(app: Any, **options: Any) -> RSGIApplication:
    """An RSGI application that serves the ASGI app ``app``, unchanged.

    Options are ``root_path``, ``lifespan`` ("auto" or "off"), ``proxy_headers`` and
    ``forwarded_allow_ips``, as for ``freelane run``. Raises ConfigError for another one.
    RSGI: https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md
    """
    if isinstance(app, RSGIApplication):
        raise ConfigError("the app is wrapped already")
    if not callable(app):
        raise ConfigError(f"a {type(app).__name__} is no ASGI app: it cannot be called")
    for name in options:
        if name not in OPTIONS:
            raise ConfigError(f"wrap() takes no option '{name}': it takes {', '.join(OPTIONS)}")
    return RSGIApplication(app, config.resolve(options))


def serve(app: Any, **options: Any) -> int:
    """Serve ``app``, an ASGI app or a "module:app" string, until SIGINT or SIGTERM.

    Options are the fields of ``freelane.config.Settings``. Blocks; call it from the main
    thread. Returns the exit code: 0, or 3 if the app's startup failed. Raises ConfigError
    for an option that cannot be used.
    """
    from freelane import constants
    from freelane.host import Server
    from freelane.loader import check, load

    settings = config.resolve(options)
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
