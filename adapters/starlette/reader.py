"""Read a Starlette app: which of its layers are Starlette's own, and what its routes need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Mount, Route, Router, WebSocketRoute

from freelane.adapters.compat import starlette_gate, versions
from freelane.adapters.starlette.plan import Entry, MountEntry, Plan, gil_plan, make_entry
from freelane.adapters.starlette.routes import function_of
from freelane.fastcore.routing.guard import Guard
from freelane.fastcore.routing.router import Router as RadixRouter

# (path, methods, is a prefix, entry); an entry of None means: the framework's own routing.
Row = tuple[str, Any, bool, Entry | MountEntry | None]

# Starlette 1.9 and later name the matched route in the scope.
ROUTER_NAMES_ROUTE = "route" in Router.app.__code__.co_consts


class Reader:
    """What is particular to plain Starlette; a framework built on it overrides parts.

    ``layers`` are the middleware classes the framework itself puts around the routes.
    """

    application: type[Starlette] = Starlette
    router: type[Router] = Router
    layers: tuple[type, ...] = (ServerErrorMiddleware, ExceptionMiddleware)
    # What compiled code stands in for, by where it runs: around the router, and in routing.
    around: tuple[str, ...] = starlette_gate.AROUND
    routing: tuple[str, ...] = starlette_gate.ROUTING
    # Globals that stay as they are while nothing has to see every request.
    watched_globals: tuple[str, ...] = ()

    def own_call(self, app: Any) -> bool:
        """Whether calling the app runs the framework's code only."""
        kind = type(app)
        return (
            kind.__call__ is self.application.__call__
            and kind.build_middleware_stack is self.application.build_middleware_stack
        )

    def own_router(self, router: Any) -> bool:
        """Whether the router matches by the framework's code only, with no middleware of its own."""
        kind = type(router)
        return kind.__call__ is self.router.__call__ and kind.app is self.router.app and router.middleware_stack == router.app

    def watched(self, app: Any) -> str:
        """What of the app's set-up must see every request, in words; empty where nothing must."""
        return ""

    def marks(self, app: Any) -> Iterable[tuple[Any, str, Any]]:
        """(object, attribute, value) that stay as they are while nothing has to see every request."""
        return ()

    def root_path(self, app: Any) -> str:
        """The root path that the app itself sets."""
        return ""

    def routes_silently(self, scope: Any) -> bool:
        """Whether nothing but the answer comes of matching this request."""
        return True

    def routers(self, router: Any) -> Iterator[Any]:
        """Every router whose routes are part of this one's table."""
        yield router

    def is_dear(self, route: Any) -> bool:
        """Whether reading a route has the framework make what it makes for the first request that comes there."""
        return False

    def may_be_free(self, route: Any) -> bool:
        """Whether a dear route may turn out to be of the free lane."""
        return False

    def rows(self, router: Any, nested: Callable[[Any], Any], limit: int | None = None) -> Iterator[Row]:
        """The first ``limit`` routes of ``router`` for HTTP, in their order, as far as they can be read.

        ``nested(router)`` is the compiled form of a mounted router.
        """
        if versions.replaced(self.routing):
            return
        for index, route in enumerate(router.routes[:limit]):
            if isinstance(route, WebSocketRoute):
                continue
            row = self.row(router.routes, index, route, nested)
            if row is None:
                return  # it may match anything that follows
            yield row

    def row(self, siblings: list[Any], index: int, route: Any, nested: Callable[[Any], Any]) -> Row | None:
        """None for a kind of route that a path does not tell, such as Host or the user's own."""
        kind = type(route)
        if isinstance(route, Route) and kind.matches is Route.matches and kind.handle is Route.handle:
            constants = self.constants(route, endpoint=route.endpoint)
            entry = make_entry(siblings, index, route, self.plan(route), constants)
            return route.path, route.methods, False, entry
        if kind is Mount:
            inner = route.app
            app = nested(inner) if isinstance(inner, Router) and self.own_router(inner) else route.handle
            return route.path, None, True, MountEntry(route, app, self.constants(route))
        return None

    def constants(self, route: Any, **more: Any) -> dict[str, Any]:
        return {"route": route, **more} if ROUTER_NAMES_ROUTE else more

    def plan(self, route: Any) -> Plan:
        app = route.app
        if (moved := gil_plan(app)) is not None:
            return moved
        found = function_of(app)
        if found is None:
            return Plan(app, compiled=False, reason="its endpoint is an ASGI app, or has middleware of its own")
        function, lane = found
        names = starlette_gate.ENDPOINT + (starlette_gate.THREADS if lane == "free" else ())
        if changed := versions.replaced(names):
            return Plan(app, compiled=False, reason=f"{', '.join(changed)} was replaced")
        return Plan(app, function, lane, guard=Guard(watches=[versions.watch(names)]))


def radix(rows: Iterable[Row], value: Callable[[Any], Any]) -> Callable[[str, str], Any]:
    """The match function of a table that holds ``value(entry)`` for each entry."""
    tree = RadixRouter("first", convertors=CONVERTOR_TYPES)
    for path, names, prefix, entry in rows:
        tree.add(path, names, value(entry), prefix=prefix)
    return tree.publish().match
