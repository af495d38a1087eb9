"""Starlette's SessionMiddleware, compiled.

Its own code reads the session of a request and writes what the response has of it; nothing is
done for a session that nobody has looked at.
"""

from __future__ import annotations

import copy
from typing import Any

from itsdangerous.exc import BadSignature
from starlette.middleware.sessions import Session, SessionMiddleware

from freelane.adapters.coroutines import finish
from freelane.adapters.starlette.layers import Layer, RawHeaders, Whole, ignore, never
from freelane.fastcore.asgi.headers import find_header, has_any

# `{}` as the layer signs it.
EMPTY = b"e30="
VARY = {b"vary"}


class Sessions(Layer):
    """Leaves a session in the scope, and a cookie in the response to a request that changed it."""

    kind = SessionMiddleware
    code = tuple(
        f"starlette.middleware.sessions:{name}"
        for name in ("SessionMiddleware.__call__", "Session", "HTTPConnection", "MutableHeaders")
    )
    remembers = True

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        looked_at = Session()
        looked_at.mark_accessed()
        # What is added for a session that was only looked at.
        self.added = self.run(looked_at, True, 200, [])

    def visit(self, scope: Any) -> VisitedSession | None:
        if find_header(scope["headers"], b"cookie") is None:
            scope["session"] = Session()
            return VisitedSession(self, False)
        around = copy.copy(self.layer)
        around.app = ignore_request
        signer = around.signer = NotingSigner(self.layer.signer)
        try:
            finish(around(scope, never, ignore))
        except Exception:  # raised again where the app's own handlers see it
            return None
        return VisitedSession(self, signer.verified)

    def run(self, session: Any, there: bool, status: int, headers: RawHeaders) -> RawHeaders:
        """The headers behind the layer; ``there``: whether the request had a session."""
        message = {"type": "http.response.start", "status": status, "headers": list(headers)}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["session"] = session
            await send(message)

        around = copy.copy(self.layer)
        around.app = app
        around.signer = KnowingSigner(self.layer.signer, there)
        cookies = [(b"cookie", f"{self.layer.session_cookie}=".encode("latin-1"))] if there else []
        finish(around({"type": "http", "headers": cookies}, never, ignore))
        changed: RawHeaders = message["headers"]  # type: ignore[assignment]
        return changed


class VisitedSession:
    """``there``: whether the request of a session had one."""

    __slots__ = ("layer", "there")

    def __init__(self, layer: Sessions, there: bool) -> None:
        self.layer = layer
        self.there = there

    def leave(self, scope: Any, status: int, headers: RawHeaders, body: bytes, streamed: bool = False) -> Whole:
        session = scope["session"]
        if not session.modified:
            if not session.accessed:
                return headers, body
            if not has_any(headers, VARY):
                return headers + self.layer.added, body
        return self.layer.run(session, self.there, status, headers), body

    def resume(self, layer: Any, scope: Any) -> Any:
        session = scope["session"]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["session"] = session
            await layer.app(scope, receive, send)

        around = copy.copy(layer)
        around.app = app
        around.signer = KnowingSigner(layer.signer, self.there)
        return around


class NotingSigner:
    """Notes whether ``signer`` has verified something."""

    def __init__(self, signer: Any) -> None:
        self.signer = signer
        self.verified = False

    def unsign(self, *args: Any, **options: Any) -> Any:
        found = self.signer.unsign(*args, **options)
        self.verified = True
        return found


class KnowingSigner:
    """Signs as ``signer``, and does not verify again what was ``there``."""

    def __init__(self, signer: Any, there: bool) -> None:
        self.signer = signer
        self.there = there

    def unsign(self, *args: Any, **options: Any) -> bytes:
        if not self.there:
            raise BadSignature("there was no session")
        return EMPTY

    def sign(self, *args: Any) -> Any:
        return self.signer.sign(*args)


async def ignore_request(scope: Any, receive: Any, send: Any) -> None:
    pass
