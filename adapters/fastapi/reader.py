"""Read a FastAPI app: its own layers, its routes, those of the routers it includes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIRouter
from starlette.routing import Mount, Route, WebSocketRoute

from freelane.adapters.compat import fastapi_gate
from freelane.adapters.compat.fastapi_private import telemetry_of
from freelane.adapters.compat.versions import find_optional, replaced
from freelane.adapters.fastapi.kinds import runs_on
from freelane.adapters.fastapi.plan import make_plan
from freelane.adapters.starlette.plan import gil_plan, make_entry
from freelane.adapters.starlette.reader import Reader, Row


class NoRouter:
    """Stands for FastAPI's included router in older releases, which copy the routes."""


IncludedRouter: Any = find_optional("fastapi.routing:_IncludedRouter") or NoRouter


def is_api_route(route: Any) -> bool:
    """Whether FastAPI's own code matches and handles the route, whatever class makes its handler."""
    kind = type(route)
    return isinstance(route, APIRoute) and kind.matches is APIRoute.matches and kind.handle is APIRoute.handle


class FastAPIReader(Reader):
    """What is particular to FastAPI."""

    application = FastAPI
    router = APIRouter
    layers = (
        *Reader.layers,
        *filter(None, map(find_optional, fastapi_gate.LAYERS)),
    )
    around = (*Reader.around, *fastapi_gate.AROUND)
    routing = (*Reader.routing, *fastapi_gate.ROUTING)
    watched_globals = fastapi_gate.PROVIDERS

    def root_path(self, app: Any) -> str:
        return app.root_path or ""

    def watched(self, app: Any) -> str:
        telemetry = telemetry_of(app)
        return "OpenTelemetry is on" if telemetry is not None and telemetry.enabled() else ""

    def marks(self, app: Any) -> Iterator[tuple[Any, str, Any]]:
        yield app, "root_path", app.root_path

    def routes_silently(self, scope: Any) -> bool:
        return scope.get("fastapi.telemetry") is None

    def routers(self, router: Any) -> Iterator[Any]:
        yield router
        for route in router.routes:
            if isinstance(route, IncludedRouter):
                yield from self.routers(route.original_router)

    def is_dear(self, route: Any) -> bool:
        return isinstance(route, IncludedRouter)

    def may_be_free(self, route: Any) -> bool:
        holders = self.routers(route.original_router)
        return any(runs_on(inner.endpoint) == "thread" for holder in holders for inner in holder.routes if is_api_route(inner))

    def rows(self, router: Any, nested: Callable[[Any], Any], limit: int | None = None) -> Iterator[Row]:
        # Form limits are handed down in the scope, and a tool sees calls, by FastAPI's own code only.
        if getattr(router, "form_limits", None) or replaced(self.routing):
            return
        fresh: dict[str, dict[str, Any]] = {}
        for index, route in enumerate(router.routes[:limit]):
            if isinstance(route, WebSocketRoute):
                continue
            if isinstance(route, IncludedRouter):
                # Looking into an included router leaves this key behind.
                fresh = {"fastapi": {}}
                included = list(self.included(route))
                yield from (row for row in included if row is not None)
                if None in included:
                    return
                continue
            row = self.row(router.routes, index, route, nested, fresh)
            if row is None:
                return
            yield row

    def row(self, siblings: list[Any], index: int, route: Any, nested: Callable[[Any], Any], fresh: Any = None) -> Row | None:
        if not is_api_route(route):
            return super().row(siblings, index, route, nested)
        constants = {"endpoint": route.endpoint, "route": route}
        entry = make_entry(siblings, index, route, gil_plan(route.app) or make_plan(route.app), constants, fresh)
        return route.path, route.methods, False, entry

    def included(self, include: Any) -> Iterator[Row | None]:
        """The rows of an included router; None for what a path does not tell."""
        router = include.original_router
        kind = type(router)
        if kind.matches is not APIRouter.matches or kind.handle is not APIRouter.handle:
            yield None
            return
        places = {id(route): index for index, route in enumerate(router.routes)}
        for candidate in include.effective_candidates():
            if isinstance(candidate, IncludedRouter):
                yield from self.included(candidate)
            elif is_api_route(candidate.original_route):
                route = candidate.original_route
                if getattr(include.include_context, "form_limits", None) or getattr(candidate, "app", None) is None:
                    # The second: some releases make the handler of such a route as it is first asked for.
                    yield candidate.path, candidate.methods, False, None
                else:
                    yield self.effective_row(include, candidate, router.routes, places[id(route)])
            elif type(candidate.starlette_route) in (Route, Mount):
                inner = candidate.starlette_route
                yield inner.path, getattr(inner, "methods", None), type(inner) is Mount, None
            elif not isinstance(candidate.starlette_route, WebSocketRoute):
                yield None

    def effective_row(self, include: Any, context: Any, siblings: list[Any], index: int) -> Row:
        assert context.app is not None
        entry = make_entry(
            siblings, index, context, gil_plan(context.app) or make_plan(context.app),
            {"endpoint": context.endpoint, "route": context.original_route},
            {"fastapi": {"included_router": include, "effective_route_context": context}},
        )  # fmt: skip
        return context.path, context.methods, False, entry
