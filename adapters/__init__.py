"""One adapter per framework: each turns an app into something the gateway serves faster.

An app that no adapter knows is served as it is.
"""

from __future__ import annotations

from typing import Any, Protocol

from freelane.adapters import starlette
from freelane.adapters.entries import RouteEntry, RouteTable


class Adapted(Protocol):
    """What an adapter makes of an app for one worker.

    ``app`` is the ASGI app for the loop lane. ``direct`` says that ``schedule(gateway)``
    returns a function for Granian's threads that answers some requests without the loop.
    """

    app: Any
    direct: bool

    def schedule(self, gateway: Any) -> Any: ...


class Unchanged:
    """An app that is served by its own ASGI callable alone."""

    direct = False

    def __init__(self, app: Any) -> None:
        self.app = app

    def schedule(self, gateway: Any) -> Any:
        return gateway.schedule


def adapt(app: Any, executor: Any, lane: Any) -> Adapted:
    """The best this package can do for ``app`` on one worker's executor and lane."""
    if starlette.knows(app):
        return starlette.StarletteAdapter(app, executor, lane)
    return Unchanged(app)


def websocket_routes(app: Any) -> list[str] | None:
    """Paths of the app's WebSocket routes; None where the app cannot be read."""
    return starlette.websocket_routes(app) if starlette.knows(app) else None


def route_table(app: Any) -> RouteTable:
    """The app's routes; of an app that no adapter knows, one for everything."""
    if starlette.knows(app):
        return starlette.route_table(app)
    entries = [RouteEntry(kind, None, "", app, (app,), prefix=True) for kind in ("http", "websocket")]
    return RouteTable(entries)
