"""Read the route tables of Starlette apps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, Route, Router


def mounted(route: BaseRoute) -> Any:
    """The app behind a Mount or Host, below the middleware around it."""
    inner = route.app  # type: ignore[attr-defined]
    while hasattr(inner, "app") and not isinstance(inner, (Starlette, Router)):
        inner = inner.app
    return inner


def is_request_response(app: Any) -> bool:
    """Whether ``app`` is what ``starlette.routing.request_response`` made of a function."""
    return (
        getattr(app, "__module__", None) == "starlette.routing"
        and getattr(app, "__qualname__", None) == "request_response.<locals>.app"
    )


def walk(routes: Iterable[BaseRoute]) -> Iterator[Route]:
    """Every ``Route``, those of mounted apps included."""
    for route in routes:
        if isinstance(route, Route):
            yield route
        elif isinstance(route, (Mount, Host)) and isinstance(inner := mounted(route), (Starlette, Router)):
            yield from walk(inner.routes)


def mounted_apps(routes: Iterable[BaseRoute]) -> Iterator[Starlette]:
    """Every mounted app with middleware of its own, those inside others included."""
    for route in routes:
        if isinstance(route, (Mount, Host)):
            inner = mounted(route)
            if isinstance(inner, Starlette):
                yield inner
            if isinstance(inner, (Starlette, Router)):
                yield from mounted_apps(inner.routes)
