"""``wrap`` and ``serve``: freelane from Python."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from freelane import alias
from freelane.errors import ConfigError
from freelane.loader import check, load
from freelane.server import constants
from freelane.server.host import Server
from freelane.server.rsgi import RSGIApplication
from freelane.settings import resolve

# The settings that mean something without freelane's own server around the app.
OPTIONS = ("root_path", "lifespan", "proxy_headers", "forwarded_allow_ips", "shutdown_timeout")


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
    settings = resolve(options)
    if settings.alias is not None:
        alias.install(settings.alias)
    target = None
    if isinstance(app, str):
        target = app
        constants.install()

        def make() -> Any:
            return load(target, **settings.loading)
    elif settings.factory:
        make = app
    else:
        served = app.app if isinstance(app, RSGIApplication) else app
        check(served, getattr(served, "__name__", type(served).__name__), False)

        def make() -> Any:
            return served

    load_app: Callable[[], Any] = make
    for_server = settings
    if settings.migrates:
        # By its name: it compares as freelane.bench does, which imports this package.
        build = importlib.import_module("freelane.migration.build")
        load_app = partial(build.front, make, settings, target or getattr(app, "__name__", type(app).__name__))
        for_server = replace(settings, lifespan="on")  # the front's, which runs those of all sides
    server = Server(load_app, for_server, target)
    try:
        return server.run()
    finally:
        server.exit.restore()
