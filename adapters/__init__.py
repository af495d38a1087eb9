"""One adapter per framework: each turns an app into something the gateway serves faster.

An app that no adapter knows is served as it is.
"""

from __future__ import annotations

from typing import Any, Protocol

from freelane.adapters import fastapi, starlette
from freelane.adapters.entries import RouteEntry, RouteTable
from freelane.adapters.starlette.reader import Reader


class Way(Protocol):
    """How the requests of one gateway reach their endpoints."""

    def schedule(self, watcher: Any) -> None:
        """Take a request on one of Granian's threads; must not raise."""

    def take(self, exchange: Any) -> None:
        """Choose what answers a request whose task is about to start."""


class Adapted(Protocol):
    """What an adapter makes of an app for one worker.

    ``app`` is the ASGI app for the loop lane. ``direct`` says that some requests are answered
    on Granian's threads, which should then be several.
    """

    app: Any
    direct: bool

    def bind(self, gateway: Any) -> Way | None:
        """The way past the app's own layers; None where there is none."""


class Unchanged:
    """An app that is served by its own ASGI callable alone."""

    direct = False

    def __init__(self, app: Any) -> None:
        self.app = app

    def bind(self, gateway: Any) -> None:
        return None


def adapt(app: Any, executor: Any = None, lane: Any = None) -> Adapted:
    """The best this package can do for ``app`` on one worker's executor and lane.

    Without them, under another RSGI server, `def` endpoints run on anyio's threads.
    """
    if starlette.knows(app):
        return starlette.make_adapter(app, executor, lane, reader_for)
    return Unchanged(app)


def reader_for(app: Any) -> Reader | None:
    """What reads an app of Starlette's kind; None for a release of its framework that is not known."""
    if starlette.names.obstacle():
        return None
    return fastapi.reader_for(app) if fastapi.knows(app) else Reader()


def websocket_routes(app: Any) -> list[str] | None:
    """Paths of the app's WebSocket routes; None where the app cannot be read."""
    return starlette.websocket_routes(app) if starlette.knows(app) else None


def route_table(app: Any) -> RouteTable:
    """The app's routes; of an app that no adapter knows, one for everything."""
    if starlette.knows(app):
        return starlette.route_table(app)
    entries = [RouteEntry(kind, None, "", app, (app,), prefix=True) for kind in ("http", "websocket")]
    return RouteTable(entries)
