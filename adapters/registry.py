"""Which adapter knows an app: adapters register what they know, and whoever serves an app asks here."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from freelane.adapters.lane_route import Run
from freelane.adapters.route_model import KINDS, RouteEntry, RouteTable, Served

logger = logging.getLogger("freelane.error")


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


class Adapter:
    """What freelane knows of one framework's apps; this one, of an ASGI app of any other.

    ``marks_routes``: whether the framework has a way of its own to mark routes for the gil lane.
    """

    marks_routes = False

    def knows(self, app: Any) -> bool:
        """Whether ``app`` is one of them."""
        return True

    def adapt(self, app: Any, executor: Any = None, lane: Any = None) -> Adapted:
        """The best that can be done for ``app`` on one worker's executor and lane.

        Without them, under another RSGI server, `def` endpoints run on anyio's threads.
        """
        return Unchanged(app)

    def rsgi_obstacle(self, app: Any) -> str:
        """What RSGI would lose of the app's requests or answers, in words; empty where nothing."""
        return "RSGI cannot carry every header that an ASGI app may read or send"

    def route_table(self, app: Any) -> RouteTable:
        """The app's routes; of an app that no adapter knows, one for everything."""
        return RouteTable([RouteEntry(kind, None, "", app, (app,), prefix=True) for kind in KINDS])

    def describe(self, app: Any) -> list[Served]:
        """How the main process serves each of the app's HTTP routes that can be told."""
        return []

    # Scope keys that the framework's own layers set anew around a route that runs alone.
    remade: frozenset[str] = frozenset()

    def landmarks(self, app: Any) -> list[Any]:
        """The app's own objects that a scope may refer to, in the same order in every process that imports it."""
        return [app]

    def place(self, entry: RouteEntry, find: Callable[[], Run | None]) -> None:
        """In the server's process: let ``find()`` (``LaneRoute``) answer for a route of this adapter's. May be called again."""

    def route_app(self, entry: RouteEntry) -> Any:
        """In a process of the gil lane: an ASGI app that runs one route, with nothing of the user's around it."""
        return entry.owner

    def share_state(self, app: Any) -> str | None:
        """Make what the app's processes share reachable for those of the gil lane; returns where, if there is such a thing."""
        return None

    def join_state(self, app: Any, url: str | None) -> None:
        """In a process of the gil lane: use what ``share_state`` made reachable."""

    def families(self, app: Any) -> Iterable[Any]:
        """Counters of the app's own for the page of ``--metrics-port``, each a ``Family`` of ``freelane.server.ledger``."""
        return ()


unknown = Adapter()
# Only added to, as adapters are imported.
adapters: list[Adapter] = []
# Modules with adapters, by the framework whose apps they know: an app of none of them needs none of those.
BUILT_IN = {"starlette.applications": "freelane.adapters.starlette", "fastapi": "freelane.adapters.fastapi"}
# Those that could not be imported, and why.
broken: dict[str, str] = {}


def register(adapter: Adapter) -> None:
    """Let ``adapter`` be asked for the apps that it knows."""
    adapters.append(adapter)


def adapter_of(app: Any) -> Adapter:
    """The adapter that knows ``app``."""
    for framework, module in BUILT_IN.items():
        if framework in sys.modules and module not in broken:
            try:
                importlib.import_module(module)
            except (ImportError, AttributeError) as exc:  # a private name of the framework has moved
                broken[module] = str(exc)
                logger.warning("%s: apps of it are served by their own code, at its own speed (%s).", framework, exc)
    return next((adapter for adapter in adapters if adapter.knows(app)), unknown)


def adapt(app: Any, executor: Any = None, lane: Any = None) -> Adapted:
    """``adapter_of(app).adapt(app, executor, lane)``."""
    return adapter_of(app).adapt(app, executor, lane)


def rsgi_obstacle(app: Any) -> str:
    """``adapter_of(app).rsgi_obstacle(app)``."""
    return adapter_of(app).rsgi_obstacle(app)


def route_table(app: Any) -> RouteTable:
    """``adapter_of(app).route_table(app)``."""
    return adapter_of(app).route_table(app)
