"""One adapter per framework: each turns an app into something the gateway serves faster.

An app that no adapter knows is served as it is.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol

from freelane.adapters import fastapi, starlette
from freelane.adapters.compat import starlette_gate
from freelane.adapters.route_model import KINDS, RouteEntry, RouteTable, Served
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

    @property
    def direct(self) -> bool: ...

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
    if (pyre := pyre_for(app)) is not None:
        return Unchanged(app) if executor is None else pyre.PyreAdapter(app, executor, lane)
    if starlette.knows(app):
        return starlette.make_adapter(app, executor, lane, reader_for)
    return Unchanged(app)


def reader_for(app: Any) -> Reader | None:
    """What reads an app of Starlette's kind; None for a release of its framework that is not known."""
    if starlette_gate.obstacle():
        return None
    return fastapi.reader_for(app) if fastapi.knows(app) else Reader()


def websocket_routes(app: Any) -> list[str] | None:
    """Paths of the app's WebSocket routes; None where the app cannot be read."""
    if pyre_for(app) is not None:
        return pyre_websocket_routes(app)
    return starlette.websocket_routes(app) if starlette.knows(app) else None


def pyre_for(app: Any) -> Any:
    """The adapter of Pyre apps if ``app`` is one; not imported for any other."""
    pyre = sys.modules.get("freelane.adapters.pyre")
    return pyre if pyre is not None and pyre.knows(app) else None


def pyre_websocket_routes(app: Any) -> list[str] | None:
    found: list[str] = app.websocket_routes()
    for mount in app.mounts:
        inner = websocket_routes(mount.app)
        if inner is None:
            return None
        found += [mount.path + path for path in inner]
    return found


def route_table(app: Any) -> RouteTable:
    """The app's routes; of an app that no adapter knows, one for everything."""
    if (pyre := pyre_for(app)) is not None:
        return pyre.table.route_table(app)  # type: ignore[no-any-return]
    if starlette.knows(app):
        return starlette.route_table(app)
    entries = [RouteEntry(kind, None, "", app, (app,), prefix=True) for kind in KINDS]
    return RouteTable(entries)


def describe(app: Any) -> list[Served]:
    """How the main process serves each of the app's HTTP routes that can be told."""
    if (pyre := pyre_for(app)) is not None:
        return list(pyre.table.served(app))
    if not starlette.knows(app):
        return []
    return starlette.make_adapter(app, None, None, reader_for).describe()


def share_state(app: Any) -> str | None:
    """Make what the app's processes share reachable for those of the gil lane; returns where, if there is such a thing."""
    pyre = pyre_for(app)
    return None if pyre is None else pyre.table.share(app)


def join_state(app: Any, url: str | None) -> None:
    """In a process of the gil lane: use what ``share_state`` made reachable."""
    if (pyre := pyre_for(app)) is not None:
        pyre.table.join(app, url)
