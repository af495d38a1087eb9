"""A Pyre app's routes as entries, for those who do not know the framework; and its part in a gil lane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from freelane.adapters import registry
from freelane.adapters.pyre.state_memory import Memory
from freelane.adapters.pyre.state_server import Remote, StateServer
from freelane.adapters.route_model import KINDS, RouteEntry, RouteTable, Served


def route_table(app: Any) -> RouteTable:
    """The app's routes; ``gil=True`` is the mark."""
    entries = [
        RouteEntry(
            "http", (route.method,), route.pattern, route.handler, (route.handler,), gil=route.gil, route=route, owner=app
        )
        for route in (*app.table.routes, *app.extra_routes())
    ]
    entries += [
        RouteEntry("websocket", None, path, route.handler, (route.handler,), route=route, owner=app)
        for path, route in app.websockets.items()
    ]
    convertors: dict[str, Any] = {}
    for mount in app.mounts:
        inner = registry.route_table(mount.app)
        convertors |= inner.convertors
        entries += [replace(entry, path=mount.path + entry.path, mounts=(mount, *entry.mounts)) for entry in inner.entries]
        for kind in KINDS:
            entries.append(RouteEntry(kind, None, mount.path, None, prefix=True))
    return RouteTable(
        entries,
        order="specific",
        convertors=convertors,
        everywhere=(*app.before_hooks, *app.after_hooks),
        startup=(*app._startup_hooks, *app._shutdown_hooks),
        copes=True,
    )


def served(app: Any) -> Iterator[Served]:
    """How the main process serves the app's routes."""
    app.pipeline  # decides which routes need the loop
    for route in app.table.routes:
        reason = "an async hook runs around it" if not route.is_async and route.lane == "loop" and not route.gil else ""
        yield Served(route.pattern, frozenset((route.method,)), route.lane, True, reason)


def share(app: Any) -> str | None:
    """Serve the app's state to lane processes; returns where. None for a state that is elsewhere already."""
    app.in_gil_lane = True
    backend = app.state._backend
    return StateServer(backend).url if isinstance(backend, Memory) else None


def join(app: Any, url: str | None) -> None:
    """Use the state of the server whose lane process this is."""
    app.in_gil_lane = True
    if url is not None:
        app.state.use(Remote(url))
