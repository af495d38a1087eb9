"""Read a FastAPI app: its own layers, its routes, those of the routers it includes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.applications import AppBodyLimitMiddleware, ExceptionTelemetryMiddleware
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute, APIRouter, _EffectiveRouteContext, _IncludedRouter
from starlette.routing import Mount, Route, WebSocketRoute

from freelane.adapters.fastapi.names import PROVIDERS
from freelane.adapters.fastapi.plan import make_plan
from freelane.adapters.starlette.plan import Entry
from freelane.adapters.starlette.reader import Reader, Row


class FastAPIReader(Reader):
    """What is particular to FastAPI."""

    application = FastAPI
    router = APIRouter
    layers = (*Reader.layers, AsyncExitStackMiddleware, AppBodyLimitMiddleware, ExceptionTelemetryMiddleware)

    def root_path(self, app: Any) -> str:
        return app.root_path or ""

    def watched(self, app: Any) -> str:
        return "OpenTelemetry is on" if app._native_telemetry.enabled() else ""

    def marks(self, app: Any) -> Iterator[tuple[Any, str, Any]]:
        yield app, "root_path", app.root_path
        for module, name in PROVIDERS:
            found = importlib.import_module(module)
            yield found, name, getattr(found, name)

    def routes_silently(self, scope: Any) -> bool:
        return scope.get("fastapi.telemetry") is None

    def routers(self, router: Any) -> Iterator[Any]:
        yield router
        for route in router.routes:
            if isinstance(route, _IncludedRouter):
                yield from self.routers(route.original_router)

    def rows(self, router: Any, nested: Callable[[Any], Any]) -> Iterator[Row]:
        # What FastAPI leaves in the scope's "fastapi" dict; any include makes it appear.
        marks: dict[str, Any] = {"form_limits": router.form_limits} if getattr(router, "form_limits", None) else {}
        fresh = {"fastapi": marks} if marks else {}
        for index, route in enumerate(router.routes):
            if isinstance(route, WebSocketRoute):
                continue
            if isinstance(route, _IncludedRouter):
                fresh = {"fastapi": marks}
                included = list(self.included(route, marks))
                yield from (row for row in included if row is not None)
                if None in included:
                    return
                continue
            row = self.row(router.routes, index, route, nested, fresh)
            if row is None:
                return
            yield row

    def row(
        self, siblings: list[Any], index: int, route: Any, nested: Callable[[Any], Any], fresh: Any = None
    ) -> Row | None:
        if type(route) is not APIRoute:
            return super().row(siblings, index, route, nested)
        constants = {"endpoint": route.endpoint, "route": route}
        entry = Entry(route, siblings, index, route, route, route.app, make_plan(route.app), constants, fresh or {})
        return route.path, route.methods, False, entry

    def included(self, include: Any, marks: dict[str, Any]) -> Iterator[Row | None]:
        """The rows of an included router; None for what a path does not tell."""
        router = include.original_router
        kind = type(router)
        if kind.matches is not APIRouter.matches or kind.handle is not APIRouter.handle:
            yield None
            return
        limits = {**marks.get("form_limits", {}), **include.include_context.form_limits}
        marks = {**marks, **({"form_limits": limits} if limits else {})}
        places = {id(route): index for index, route in enumerate(router.routes)}
        for candidate in include.effective_candidates():
            if isinstance(candidate, _IncludedRouter):
                yield from self.included(candidate, marks)
            elif type(candidate.original_route) is APIRoute:
                route = candidate.original_route
                yield self.effective_row(include, candidate, router.routes, places[id(route)], marks)
            elif type(candidate.starlette_route) in (Route, Mount):
                inner = candidate.starlette_route
                yield inner.path, getattr(inner, "methods", None), type(inner) is Mount, None
            elif not isinstance(candidate.starlette_route, WebSocketRoute):
                yield None

    def effective_row(
        self, include: Any, context: _EffectiveRouteContext, siblings: list[Any], index: int, marks: dict[str, Any]
    ) -> Row:
        assert context.app is not None
        route = context.original_route
        entry = Entry(
            route, siblings, index, route, context, context.app, make_plan(context.app),
            {"endpoint": context.endpoint, "route": route},
            {"fastapi": {**marks, "included_router": include, "effective_route_context": context}},
        )  # fmt: skip
        return context.path, context.methods, False, entry
