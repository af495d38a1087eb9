"""The middleware around an app's router: what it is made of, and where the compiled router goes."""

from __future__ import annotations

import copy
from typing import Any

from starlette.middleware.exceptions import ExceptionMiddleware

from freelane.adapters.compat import versions
from freelane.adapters.starlette.layers import Stack, compiled
from freelane.adapters.starlette.reader import Reader
from freelane.adapters.starlette.routing import CompiledRouter


def layers(app: Any) -> list[Any] | None:
    """The app's middleware from the outermost to the one around its router; None if it hides what it wraps."""
    found: list[Any] = []
    at = app.middleware_stack
    while at is not app.router and type(at) is not CompiledRouter:
        found.append(at)
        at = vars(at).get("app") if hasattr(at, "__dict__") else None
        if at is None or len(found) > 1000:
            return None
    return found


def install(app: Any, reader: Reader) -> CompiledRouter | None:
    """Put the compiled router in the place of the app's router, behind all of the app's middleware.

    Done once for an app. Returns None, and changes nothing, where that place cannot be found
    or the router has code of the user's.
    """
    if app.middleware_stack is None:
        app.middleware_stack = app.build_middleware_stack()
    around = layers(app)
    if not around or not reader.own_router(app.router):
        return None
    inner = around[-1]
    if type(inner.app) is not CompiledRouter:
        inner.app = CompiledRouter(reader, app.router)
    return inner.app


def obstacle(app: Any, reader: Reader) -> str:
    """What of the user's runs around every endpoint, in words; empty where nothing does."""
    if not reader.own_call(app):
        return f"{type(app).__name__} has a __call__ or build_middleware_stack of its own"
    if changed := versions.replaced(reader.around):
        return f"{', '.join(changed)} was replaced"
    if app.debug:
        return "the app is in debug mode"
    around = layers(app)
    if around is None:
        return "a middleware hides what it wraps"
    for layer in around:
        if type(layer) not in reader.layers and compiled(layer) is None:
            return f"{type(layer).__name__} runs around every endpoint"
    if not reader.own_router(app.router):
        return "the app's router has middleware or matching of its own"
    return reader.watched(app)


def users(app: Any, reader: Reader) -> Stack | None:
    """The compiled form of the layers that are not the framework's own; None where there are none.

    For an app without an ``obstacle``.
    """
    found = [compiled(layer) for layer in layers(app) or () if type(layer) not in reader.layers]
    return Stack([layer for layer in found if layer is not None]) if found else None


def handlers(app: Any) -> Any:
    """What ``ExceptionMiddleware`` leaves in the scope."""
    for layer in layers(app) or ():
        if type(layer) is ExceptionMiddleware:
            return layer._exception_handlers, layer._status_handlers
    return {}, {}


def entered_behind(app: Any, inner: Any) -> Any:
    """The app's layers around another ASGI app."""
    for layer in reversed(layers(app) or ()):
        around = copy.copy(layer)
        around.app = inner
        inner = around
    return inner
