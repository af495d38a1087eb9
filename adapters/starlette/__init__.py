"""Starlette apps, and those of frameworks built on it.

The routes are compiled into a radix tree that stands in the place of the app's router, behind
its middleware. Where no middleware but the framework's own runs around an endpoint, a request
goes to it directly: a `def` endpoint on the thread that Granian calls, an ``async def`` one in
a task of the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette

from freelane.adapters import registry
from freelane.adapters.compat import anyio_gate, free_threading, starlette_gate, versions
from freelane.adapters.lane_route import Run
from freelane.adapters.route_model import RouteEntry, RouteTable, Served
from freelane.adapters.starlette import lane, responses, stack, threads
from freelane.adapters.starlette.describe import served
from freelane.adapters.starlette.direct import Direct
from freelane.adapters.starlette.plan import Entry
from freelane.adapters.starlette.reader import Reader
from freelane.adapters.starlette.routes import mounted_apps
from freelane.adapters.starlette.routing import CompiledRouter
from freelane.adapters.starlette.table import route_table

# (knows(app), reader_for(app)) of the frameworks that are built on Starlette; only added to.
built_on: list[tuple[Callable[[Any], bool], Callable[[Any], Reader]]] = []


def reader_for(app: Any) -> Reader:
    """What reads an app of Starlette's kind. Raises NotKnown for a release of its framework that cannot be compiled."""
    versions.require("starlette", starlette_gate.PRIVATE)
    responses.install()
    for knows, reader in built_on:
        if knows(app):
            return reader(app)
    return Reader()


def compiled(app: Any) -> tuple[Reader | None, CompiledRouter | None, str]:
    """The reader of ``app`` and its compiled router, which is in its place by then; or None, and why."""
    try:
        reader = reader_for(app)
        return reader, stack.install(app, reader), ""
    except versions.NotKnown as exc:
        return None, None, str(exc)
    except Exception as exc:
        # Private names that are there and are not what they were: the app's own code needs none of them.
        reason = f"{type(app).__name__} cannot be read ({type(exc).__name__}: {exc})"
        versions.tell(reason)
        return None, None, reason


class AdaptedStarlette:
    """One worker's view of a Starlette app. ``calls`` is None where no executor serves the loop."""

    def __init__(self, app: Any, calls: threads.ThreadCalls | None) -> None:
        self.app = app
        self.calls = calls
        threads.move_endpoints(app.routes)
        for inner in mounted_apps(app.routes):
            compiled(inner)
        self.reader, self.router, self.reason = compiled(app)
        self.obstacle = "" if self.reader is None else stack.obstacle(app, self.reader)
        if self.obstacle and self.reader is not None and self.router is not None:
            stack.install_inside(app, self.reader, self.router)

    @property
    def direct(self) -> bool:
        """Whether some requests may be answered on the server's threads."""
        if self.reader is None or self.router is None or self.obstacle or stack.on_loop(self.app):
            return False
        table = self.router.table
        if any(type(entry) is Entry and entry.plan.lane == "free" for *_, entry in table.rows):
            return True
        dear = () if table.whole else filter(self.reader.is_dear, self.router.router.routes)
        return any(map(self.reader.may_be_free, dear))

    def describe(self) -> list[Served]:
        """How each HTTP route is served, as far as the app's table tells."""
        if self.router is not None:
            return list(served(self.router, self.obstacle or stack.on_loop(self.app)))
        return [
            Served(entry.path, frozenset(entry.methods) if entry.methods else None, "loop", False, self.reason)
            for entry in route_table(self.app).entries
            if entry.kind == "http" and entry.endpoint is not None
        ]

    def bind(self, gateway: Any) -> Direct | None:
        """The direct way for one gateway's requests, where there is one."""
        if self.reader is None or self.router is None or self.obstacle:
            return None
        if gateway.root_path and self.reader.root_path(self.app):
            return None
        return Direct(self.app, self.reader, self.router, self.calls, gateway)


class StarletteAdapter(registry.Adapter):
    """Apps of Starlette, and of what is built on it."""

    def knows(self, app: Any) -> bool:
        return isinstance(app, Starlette)

    def adapt(self, app: Any, executor: Any = None, lane: Any = None) -> AdaptedStarlette:
        if free_threading.FREE_THREADED:
            free_threading.park_anyio_threads()
            free_threading.memoize_statements_unnamed()
        own = executor is not None and not anyio_gate.obstacle()
        return AdaptedStarlette(app, threads.ThreadCalls(executor, lane) if own else None)

    def route_table(self, app: Any) -> RouteTable:
        return route_table(app)

    remade = lane.REMADE

    def landmarks(self, app: Any) -> list[Any]:
        return list(lane.landmarks(app))

    def place(self, entry: RouteEntry, find: Callable[[], Run | None]) -> None:
        lane.place(entry, find)

    def route_app(self, entry: RouteEntry) -> Any:
        return lane.route_app(entry, compiled(entry.owner)[0])

    def describe(self, app: Any) -> list[Served]:
        return self.adapt(app).describe()


registry.register(StarletteAdapter())
