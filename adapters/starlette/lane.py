"""Routes of a Starlette app in the gil lane: what stands for them in the server's process, and what runs them in the lane's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Host, Mount, Router

from freelane.adapters.lane_route import LaneRoute, Run
from freelane.adapters.route_model import RouteEntry
from freelane.adapters.starlette import stack
from freelane.adapters.starlette.plan import Entry, MountEntry
from freelane.adapters.starlette.reader import Reader
from freelane.adapters.starlette.routes import mounted
from freelane.adapters.starlette.routing import CompiledRouter

# Scope keys that the framework's own layers set.
REMADE = frozenset({
    "starlette.exception_handlers", "fastapi_middleware_astack", "fastapi_inner_astack", "fastapi_function_astack",
    "fastapi.telemetry",
})  # fmt: skip


def landmarks(app: Any) -> Iterator[Any]:
    """The app, its routers and routes, and those of what is mounted in it, in their order."""
    yield app
    if isinstance(app, Starlette):
        yield app.router
    yield from landmarks_of(app.routes)


def landmarks_of(routes: Any) -> Iterator[Any]:
    for route in routes:
        yield route
        for name in ("original_route", "starlette_route", "endpoint"):
            if (found := getattr(route, name, None)) is not None:
                yield found
        if hasattr(route, "effective_candidates"):
            # Newer FastAPI keeps an included router as one route.
            yield from landmarks_of(route.effective_candidates())
        if isinstance(route, (Mount, Host)) and isinstance(inner := mounted(route), (Starlette, Router)):
            yield from landmarks(inner)


def slot(entry: RouteEntry) -> tuple[Any, str]:
    """Where the ASGI app of a route is kept: the object and its attribute."""
    handle = type(entry.route).handle
    if getattr(entry.holder, "app", None) is None or not handle.__module__.startswith(("starlette.", "fastapi.")):
        # Its class handles requests in a way of its own, or makes the app as it is first asked for.
        return entry.route, "handle"
    return entry.holder, "app"


def place(entry: RouteEntry, find: Callable[[], Run | None]) -> None:
    """Let the gil lane stand in the place of a route's app."""
    holder, name = slot(entry)
    if type(getattr(holder, name)) is not LaneRoute:
        setattr(holder, name, LaneRoute(getattr(holder, name), find))


def route_app(entry: RouteEntry, reader: Reader | None) -> Any:
    """An ASGI app that runs a route, with nothing around it but the framework's own layers of its app."""
    holder, name = slot(entry)
    router = None if entry.owner.middleware_stack is None else compiled_router(entry.owner)
    found = None if router is None else entry_of(router, holder)

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        app = found.plan.app if found is not None and found.unchanged() else getattr(holder, name)
        await app(scope, receive, send)

    plain: Any = copy.copy(entry.owner)
    plain.user_middleware = []
    plain.router = endpoint
    build = (Starlette if reader is None else reader.application).build_middleware_stack
    layer: Any = build(plain)
    while type(layer) is not ExceptionMiddleware:
        layer = layer.app  # those around the user's: they are in the server's process
    return layer


def compiled_router(app: Any) -> CompiledRouter | None:
    around = stack.layers(app)
    inner = around[-1].app if around else None
    return inner if type(inner) is CompiledRouter else None


def entry_of(router: CompiledRouter, holder: Any) -> Entry | None:
    """What the compiled router has for a route."""
    router.whole()
    for *_, entry in router.table.rows:
        if type(entry) is Entry and entry.holder is holder:
            return entry
        if type(entry) is MountEntry and type(entry.app) is CompiledRouter:
            if (found := entry_of(entry.app, holder)) is not None:
                return found
    return None
