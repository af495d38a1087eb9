"""Starlette's AuthenticationMiddleware, compiled: its backend is asked in the request's task, as ever."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.authentication import AuthCredentials, AuthenticationError, UnauthenticatedUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from freelane.adapters.compat import starlette_gate, versions
from freelane.adapters.starlette.answers import is_plain
from freelane.adapters.starlette.dispatch import fail
from freelane.adapters.starlette.sections import Node, Rest, Whole


def is_authentication(layer: Any) -> bool:
    """Whether the layer's code is AuthenticationMiddleware's around a backend of the user's."""
    return (
        type(layer) is AuthenticationMiddleware
        and "__call__" not in vars(layer)
        and starlette_gate.knows_middleware(AuthenticationMiddleware.__module__)
        and not versions.replaced(starlette_gate.AUTHENTICATION)
    )


class Authentication:
    """One AuthenticationMiddleware around ``inside``."""

    def __init__(self, layer: Any, inside: Node) -> None:
        self.backend = layer.backend
        self.on_error = layer.on_error
        self.inside = inside

    async def __call__(self, scope: Any, receive: Any, send: Any, params: Any) -> Whole | Rest:
        connection = HTTPConnection(scope)
        try:
            try:
                found = await self.backend.authenticate(connection)
            except AuthenticationError as exc:
                response: Any = self.on_error(connection, exc)
                again = partial(refuse, response, exc)
                if is_plain(response):
                    return Whole(response.status_code, response.raw_headers, response.body, again)
                return Rest(again)
            scope["auth"], scope["user"] = found if found is not None else (AuthCredentials(), UnauthenticatedUser())
        except Exception as exc:
            return Rest(partial(fail, exc))
        return await self.inside(scope, receive, send, params)


async def refuse(response: Any, error: AuthenticationError, scope: Any, receive: Any, send: Any) -> None:
    """Send the response to what ``error`` says."""
    try:
        raise error
    except AuthenticationError:
        await response(scope, receive, send)
