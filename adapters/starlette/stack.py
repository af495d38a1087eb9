"""The middleware around an app's router: what it is made of, and where the compiled router goes."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware

from freelane.adapters.compat import starlette_gate, versions
from freelane.adapters.compat.starlette_private import handlers_of
from freelane.adapters.starlette.dispatch import Dispatch
from freelane.adapters.starlette.inside import Inside
from freelane.adapters.starlette.layers import CORS, GZip, HTTPSRedirect, Layer, Resumed, Stack, TrustedHost
from freelane.adapters.starlette.reader import Reader
from freelane.adapters.starlette.routing import CompiledRouter
from freelane.adapters.starlette.sections import Divider, Part, continue_scope
from freelane.fastcore.routing.guard import Guard

KINDS: dict[type, type[Layer]] = {made.kind: made for made in (CORS, GZip, TrustedHost, HTTPSRedirect)}


def kind_of(layer: Any) -> type[Layer] | None:
    cls = type(layer)
    if cls.__module__ == "starlette.middleware.sessions" and cls not in KINDS:  # which needs itsdangerous
        from freelane.adapters.starlette.sessions import Sessions

        KINDS[Sessions.kind] = Sessions
    return KINDS.get(cls)


def compiled(layer: Any) -> Layer | None:
    """The compiled form of a layer that has only Starlette's code; None for any other."""
    made = kind_of(layer)
    if made is None or any(name in vars(made.kind) for name in vars(layer)) or versions.replaced(made.code):
        return None
    if not starlette_gate.knows_middleware(made.kind.__module__):
        return None
    return made(layer)


def layers(app: Any) -> list[Any] | None:
    """The app's middleware from the outermost to the one around its router; None if it hides what it wraps."""
    found: list[Any] = []
    at = app.middleware_stack
    while at is not app.router and type(at) is not CompiledRouter:
        if type(at) is not Inside:
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
        if not is_known(layer, reader):
            return f"{type(layer).__name__} runs around every endpoint"
    if not reader.own_router(app.router):
        return "the app's router has middleware or matching of its own"
    return reader.watched(app)


def parts(app: Any, reader: Reader) -> list[Part]:
    """The layers of an app without an ``obstacle``, from the outermost to the one around its router."""
    return split(layers(app) or [], app.middleware_stack, reader)


def split(around_router: list[Any], outermost: Any, reader: Reader) -> list[Part]:
    found: list[Part] = []
    outer, inside, itself = None, [], outermost
    for layer in [*around_router, None]:
        next_one = divider(layer)
        if layer is not None and next_one is None:
            inside.append(layer)
            continue
        chain = [made for own in inside if type(own) not in reader.layers and (made := compiled(own)) is not None]
        copies = partial(around, inside, continue_scope)
        found.append(Part(outer, Stack(chain), copies(), itself, copies))
        if layer is not None:
            outer, inside, itself = next_one, [], layer.app
    return found


def marks(found: list[Part]) -> tuple[list[tuple[Any, str, Any]], list[str]]:
    """What compiled layers depend on: (object, attribute, value), and names of code."""
    dividers = [part.divider for part in found if part.divider is not None]
    names = {name for part in found for name in part.chain.code} | {name for one in dividers for name in one.code}
    return [(one.layer, name, getattr(one.layer, name)) for one in dividers for name in one.attributes], sorted(names)


def install_inside(app: Any, reader: Reader, router: CompiledRouter) -> None:
    """Compile what is inside the innermost layer that is not known. Does it once for an app; changes nothing elsewhere."""
    if app.debug or not reader.own_call(app) or reader.watched(app) or versions.replaced(reader.around):
        return
    found = layers(app) or []
    unknown = [index for index, layer in enumerate(found) if not is_known(layer, reader)]
    if not unknown:
        return
    outer, inner = found[unknown[-1]], found[unknown[-1] + 1 :]
    if type(outer.app) is Inside or not any(type(layer) is ExceptionMiddleware for layer in inner):
        return
    made = split(inner, outer.app, reader)
    attributes, names = marks(made)
    guard = Guard(attributes, watches=[versions.watch((*reader.around, *reader.watched_globals, *names))])
    constants = {"router": app.router, "starlette.exception_handlers": handlers(app)}
    outer.app = Inside(outer.app, reader, router, made, constants, guard)


def is_known(layer: Any, reader: Reader) -> bool:
    return type(layer) in reader.layers or divider(layer) is not None or compiled(layer) is not None


def divider(layer: Any) -> Divider | None:
    """What the layer is, if code of the user's in it runs in the request's task and nothing else is unknown of it."""
    if is_dispatch(layer):
        return Divider(layer, Dispatch, ("dispatch_func",), starlette_gate.DISPATCH)
    if type(layer).__module__ == "starlette.middleware.authentication":
        from freelane.adapters.starlette.authentication import Authentication, is_authentication

        if is_authentication(layer):
            return Divider(layer, Authentication, ("backend", "on_error"), starlette_gate.AUTHENTICATION)
    return None


def is_dispatch(layer: Any) -> bool:
    """Whether the layer's code is BaseHTTPMiddleware's around a function of the user's."""
    return (
        isinstance(layer, BaseHTTPMiddleware)
        and type(layer).__call__ is BaseHTTPMiddleware.__call__
        and "__call__" not in vars(layer)
        and starlette_gate.knows_middleware(BaseHTTPMiddleware.__module__)
        and not versions.replaced(starlette_gate.DISPATCH)
    )


def on_loop(app: Any) -> str:
    """What of the user's runs on the loop around every endpoint, in words; empty where nothing does."""
    for layer in layers(app) or ():
        if divider(layer) is not None:
            return f"{type(layer).__name__} runs around every endpoint, on the loop"
    return ""


def handlers(app: Any) -> Any:
    """What ``ExceptionMiddleware`` leaves in the scope."""
    for layer in layers(app) or ():
        if type(layer) is ExceptionMiddleware:
            return handlers_of(layer)
    return {}, {}


def around(layers: list[Any], inner: Any) -> Any:
    """Copies of the layers around another ASGI app."""
    for layer in reversed(layers):
        outer = copy.copy(layer)
        outer.app = inner
        kind = kind_of(layer)
        inner = Resumed(outer, layer) if kind is not None and kind.remembers else outer
    return inner
