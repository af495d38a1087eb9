"""Read the route tables of Starlette apps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, Route, Router

from freelane.adapters.compat import versions
from freelane.adapters.compat.starlette_private import is_async_callable

# What sends a `def` endpoint to a thread, unless a tool has another way.
OWN_POOL = versions.own("starlette.concurrency:run_in_threadpool")


def mounted(route: BaseRoute) -> Any:
    """The app behind a Mount or Host, below the middleware around it."""
    inner = route.app  # type: ignore[attr-defined]
    while hasattr(inner, "app") and not isinstance(inner, (Starlette, Router)):
        inner = inner.app
    return inner


def function_of(app: Any) -> tuple[Any, str] | None:
    """The function that ``starlette.routing.request_response`` made ``app`` of, and its lane; None for another app.

    A tool may have given it one of its own around the endpoint.
    """
    if not versions.made_in(app, "starlette.routing", "request_response.<locals>.app"):
        return None
    if (moved := getattr(app, "freelane_moved", None)) is not None:
        return moved, "free"
    cells = {name: cell.cell_contents for name, cell in zip(app.__code__.co_freevars, app.__closure__)}
    if "f" not in cells:  # before 0.37 it chose as it was called
        return cells["func"], "loop" if is_async_callable(cells["func"]) else "free"
    function = cells["f"]
    if type(function) is partial and function.func is OWN_POOL and not function.keywords and len(function.args) == 1:
        return function.args[0], "free"
    return function, "loop"


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
