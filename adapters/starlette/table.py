"""A Starlette or FastAPI app's routes as entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from freelane.adapters.route_model import KINDS, RouteEntry, RouteTable, methods_of
from freelane.adapters.starlette.routes import mounted, mounted_apps


def route_table(app: Starlette) -> RouteTable:
    """The app's routes in its order, those of mounted apps in their place."""
    unreadable: list[str] = []
    entries = list(collect(app.routes, "", (), unreadable, app))
    everywhere = [middleware.cls for middleware in app.user_middleware]
    everywhere += [value for middleware in app.user_middleware for value in values_of(middleware)]
    everywhere += app.exception_handlers.values()
    return RouteTable(
        entries,
        convertors=CONVERTOR_TYPES,
        everywhere=tuple(everywhere),
        startup=(getattr(app.router, "lifespan_context", None), *getattr(app.router, "on_startup", ())),
        unreadable=tuple(unreadable),
        root_path=getattr(app, "root_path", "") or "",  # FastAPI's
        state={name: value for each in (*mounted_apps(app.routes), app) for name, value in state_of(each).items()},
    )


def state_of(app: Starlette) -> dict[str, Any]:
    """What ``app.state`` holds."""
    values = getattr(getattr(app, "state", None), "_state", None)
    return dict(values) if isinstance(values, dict) else {}


def values_of(middleware: Any) -> list[Any]:
    """The arguments of a ``Middleware``, which may be functions."""
    return [*getattr(middleware, "args", ()), *getattr(middleware, "kwargs", {}).values()]


def collect(
    routes: Iterable[BaseRoute], prefix: str, around: tuple[Any, ...], unreadable: list[str], owner: Any
) -> Iterator[RouteEntry]:
    for route in routes:
        if isinstance(route, (Mount, Host)):
            yield from collect_mount(route, prefix, around, unreadable, owner)
        elif isinstance(route, Route):
            yield endpoint_entry("http", route, route, prefix, around, owner)
        elif isinstance(route, WebSocketRoute):
            yield endpoint_entry("websocket", route, route, prefix, around, owner)
        elif hasattr(route, "effective_candidates"):
            # Newer FastAPI keeps an included router as one route.
            yield from collect(route.effective_candidates(), prefix, around, unreadable, owner)
        elif (original := getattr(route, "original_route", None)) is not None:
            yield from collect_included(route, original, prefix, around, unreadable, owner)
        else:
            unreadable.append(f"{type(route).__name__} {prefix}{getattr(route, 'path', '')}")


def collect_included(
    effective: Any,
    original: BaseRoute,
    prefix: str,
    around: tuple[Any, ...],
    unreadable: list[str],
    owner: Any,
) -> Iterator[RouteEntry]:
    """A route of an included router: ``effective`` has the path and the dependencies that inclusion adds."""
    if isinstance(original, (Route, WebSocketRoute)):
        kind: Literal["http", "websocket"] = "http" if isinstance(original, Route) else "websocket"
        plain = getattr(effective, "starlette_route", None)
        yield endpoint_entry(kind, original, plain if plain is not None else effective, prefix, around, owner)
    else:
        plain = getattr(effective, "starlette_route", None)
        yield from collect([original if plain is None else plain], prefix, around, unreadable, owner)


def endpoint_entry(
    kind: Literal["http", "websocket"], route: Any, effective: Any, prefix: str, around: tuple[Any, ...], owner: Any
) -> RouteEntry:
    code = (route.endpoint, *wrappers(route), *dependencies(effective), *answers(effective), *around)
    methods = methods_of(route) if kind == "http" else None
    return RouteEntry(kind, methods, prefix + effective.path, route.endpoint, code, route=route, holder=effective, owner=owner)


def answers(route: Any) -> list[Any]:
    """The response class of a FastAPI route."""
    found = getattr(route, "response_class", None)
    found = getattr(found, "value", found)
    return [found] if isinstance(found, type) else []


def collect_mount(
    route: Mount | Host, prefix: str, around: tuple[Any, ...], unreadable: list[str], owner: Any
) -> Iterator[RouteEntry]:
    # A Host's routes are listed by their path alone: the lane answers for other hosts as well.
    path = prefix + (route.path if isinstance(route, Mount) else "")
    inner = mounted(route)
    outer = (*wrappers(route), *around)
    if isinstance(inner, (Starlette, Router)):
        if isinstance(inner, Starlette):
            outer = (*(middleware.cls for middleware in inner.user_middleware), *inner.exception_handlers.values(), *outer)
            owner = inner
        yield from collect(inner.routes, path, outer, unreadable, owner)
    elif not isinstance(inner, StaticFiles):
        for kind in KINDS:
            yield RouteEntry(kind, None, path, inner, (inner, *outer), prefix=True, route=route, holder=route, owner=owner)
    if isinstance(route, Mount):
        # What a mount matches goes nowhere else.
        for kind in KINDS:
            yield RouteEntry(kind, None, path, None, prefix=True)


def wrappers(route: Any) -> list[Any]:
    """The middleware around one route."""
    found: list[Any] = []
    inner: Any = getattr(route, "app", None)
    while hasattr(inner, "app") and not isinstance(inner, (Starlette, Router)):
        found.append(type(inner))
        inner = inner.app
    return found


def dependencies(route: Any) -> list[Any]:
    """The functions of FastAPI's dependencies, nested ones included."""
    found: list[Any] = []
    pending = [getattr(route, "dependant", None)]
    while pending:
        dependant = pending.pop()
        for below in getattr(dependant, "dependencies", ()):
            found.append(below.call)
            pending.append(below)
    return found
