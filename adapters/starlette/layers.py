"""Starlette's own middleware without its shells: what a request or a response triggers of it, and nothing else.

Only for responses that are there whole. Whatever a layer would do beyond changing one goes
through the layer itself, entered before the endpoint (``admit``) or behind it (``leave``).
What a layer changes is found by running the layer's own code, so that it is right in every
release of Starlette; what is remembered of that is checked with each request.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from freelane.adapters.coroutines import finish
from freelane.fastcore.asgi.headers import find_header, has_any

RawHeaders = list[tuple[bytes, bytes]]
Whole = tuple[RawHeaders, bytes]
# (scope, status, headers, body, streamed) -> headers and body behind the layers.
Leave = Callable[..., Whole | None]

# Different values of a request header that a layer remembers its decision for.
REMEMBERED = 256


class Layer:
    """One layer, of the class ``kind``; ``code`` names what of Starlette's it stands in for.

    ``remembers``: whether it keeps something of a request until the response; then ``visit`` is
    what lets the request through, and ``leave`` is the visit's.
    """

    kind: type
    code: tuple[str, ...]
    remembers = False

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def admit(self, scope: Any) -> bool:
        """Whether the layer lets the request through as it is."""
        return True

    def leave(self, scope: Any, status: int, headers: RawHeaders, body: bytes, streamed: bool = False) -> Whole | None:
        """The headers and body of a whole response behind the layer; None if the layer itself must say.

        Changes none of what it is given. ``streamed``: whether the layer sees the body as part of a stream.
        """
        return headers, body

    def visit(self, scope: Any) -> Visited | None:
        """As ``admit``, with what is kept of the request."""
        raise NotImplementedError


class Visited(Protocol):
    """What a layer keeps of a request that it has let through."""

    def leave(self, scope: Any, status: int, headers: RawHeaders, body: bytes, streamed: bool = False) -> Whole | None:
        """As ``Layer.leave``."""

    def resume(self, layer: Any, scope: Any) -> Any:
        """``layer``, a copy, as an ASGI app that goes on with what is kept, for a request that comes through late."""


class CORS(Layer):
    """Adds the same headers to each response for an origin, if the response has none of those names."""

    kind = CORSMiddleware
    code = tuple(
        f"starlette.middleware.cors:CORSMiddleware.{name}"
        for name in ("__call__", "simple_response", "send", "is_allowed_origin", "allow_explicit_origin")
    )

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.names: set[bytes] = {
            b"vary",
            b"access-control-allow-origin",
            *(name.lower().encode() for name in layer.simple_headers),
        }
        self.simple = dict(layer.simple_headers)
        # origin -> (whether it was allowed, what was added).
        self.added: dict[bytes | None, tuple[bool, RawHeaders]] = {}

    def admit(self, scope: Any) -> bool:
        return bool(scope["method"] != "OPTIONS")

    def leave(self, scope: Any, status: int, headers: RawHeaders, body: bytes, streamed: bool = False) -> Whole | None:
        origin = find_header(scope["headers"], b"origin")
        allowed = origin is not None and self.layer.is_allowed_origin(origin.decode("latin-1"))
        if self.layer.simple_headers == self.simple and not has_any(headers, self.names):
            known = self.added.get(origin)
            if known is not None and known[0] == allowed:
                return headers + known[1], body
            added = self.run(scope, status, [])
            if len(self.added) < REMEMBERED:
                self.added[origin] = allowed, added
            return headers + added, body
        return self.run(scope, status, headers), body

    def run(self, scope: Any, status: int, headers: RawHeaders) -> RawHeaders:
        message = {"type": "http.response.start", "status": status, "headers": list(headers)}
        finish(self.layer.send(message, send=ignore, request_headers=Headers(scope=scope)))
        changed: RawHeaders = message["headers"]  # type: ignore[assignment]
        return changed


class GZip(Layer):
    """Touches only what has the size for it."""

    kind = GZipMiddleware
    code = tuple(
        f"starlette.middleware.gzip:{name}"
        for name in (
            "GZipMiddleware.__call__",
            "GZipResponder",
            "GZipResponder.__call__",
            "GZipResponder.send_with_compression",
            "IdentityResponder",
            "IdentityResponder.__call__",
            "IdentityResponder.send_with_compression",
        )
    )

    def leave(self, scope: Any, status: int, headers: RawHeaders, body: bytes, streamed: bool = False) -> Whole | None:
        if streamed and body:
            if any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"]):
                return None  # its pieces are compressed one by one
            return replay(self.layer, scope, status, headers, body, True)
        if len(body) < self.layer.minimum_size:
            return headers, body
        if len(body) >= getattr(self.layer, "thread_minimum_size", 1 << 62):
            return None  # it is compressed on a thread
        return replay(self.layer, scope, status, headers, body)


class TrustedHost(Layer):
    """Lets through the hosts that it knows."""

    kind = TrustedHostMiddleware
    code = ("starlette.middleware.trustedhost:TrustedHostMiddleware.__call__",)

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.hosts = list(layer.allowed_hosts)
        self.known: dict[bytes | None, bool] = {}

    def admit(self, scope: Any) -> bool:
        if self.layer.allow_any:
            return True
        if self.layer.allowed_hosts != self.hosts:
            return False
        host = find_header(scope["headers"], b"host")
        admitted = self.known.get(host)
        if admitted is None:
            admitted = passes(self.layer, scope)
            if len(self.known) < REMEMBERED:
                self.known[host] = admitted
        return admitted


class HTTPSRedirect(Layer):
    """Lets through what came over TLS."""

    kind = HTTPSRedirectMiddleware
    code = ("starlette.middleware.httpsredirect:HTTPSRedirectMiddleware.__call__",)

    def admit(self, scope: Any) -> bool:
        return bool(scope["scheme"] != "http")


class Stack:
    """Layers one inside the other, the outermost first."""

    def __init__(self, layers: list[Layer]) -> None:
        self.is_empty = not layers
        self.layers = layers
        self.remembers = any(layer.remembers for layer in layers)
        self.inward = tuple(layer.admit for layer in layers if type(layer).admit is not Layer.admit)
        self.outward = tuple(layer.leave for layer in reversed(layers) if type(layer).leave is not Layer.leave)
        self.code = tuple(name for layer in layers for name in layer.code)
        # Their attributes, and what those were.
        self.attributes = tuple((vars(layer.layer), dict(vars(layer.layer))) for layer in layers)

    def admit(self, scope: Any) -> Leave | None:
        """What the response passes, if all layers are as they were and let the request through; else None."""
        for own, known in self.attributes:
            if own != known:
                return None
        if self.remembers:
            return self.visit(scope)
        for admit in self.inward:
            if not admit(scope):
                return None
        return self.leave

    def visit(self, scope: Any) -> Visit | None:
        outward: list[Leave] = []
        visited: dict[Any, Visited] = {}
        for layer in self.layers:
            if layer.remembers:
                found = layer.visit(scope)
                if found is None:
                    return None
                visited[layer.layer] = found
                outward.insert(0, found.leave)
            elif not layer.admit(scope):
                return None
            else:
                outward.insert(0, layer.leave)
        return Visit(outward, visited)

    def leave(self, scope: Any, status: int, headers: RawHeaders, body: bytes, streamed: bool = False) -> Whole | None:
        """The response as the outermost layer sends it; None if the layers themselves must say."""
        return pass_outward(self.outward, scope, status, headers, body, streamed)


class Visit:
    """What a stack keeps of one request: its way out, and what its layers go on with if they are entered late."""

    __slots__ = ("outward", "visited")

    def __init__(self, outward: list[Leave], visited: dict[Any, Visited]) -> None:
        self.outward = outward
        self.visited = visited

    def __call__(self, scope: Any, status: int, headers: RawHeaders, body: bytes, streamed: bool = False) -> Whole | None:
        return pass_outward(self.outward, scope, status, headers, body, streamed)


def pass_outward(
    outward: Iterable[Leave], scope: Any, status: int, headers: RawHeaders, body: bytes, streamed: bool
) -> Whole | None:
    try:
        for leave in outward:
            left = leave(scope, status, headers, body, streamed)
            if left is None:
                return None
            headers, body = left
    except Exception:  # raised again where the app's own handlers see it
        return None
    return headers, body


class Resumed:
    """A copy of the layer ``itself``, entered behind the endpoint of a request that it has let through before."""

    def __init__(self, layer: Any, itself: Any) -> None:
        self.layer = layer
        self.itself = itself

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        visit: Visit | None = scope.get("freelane.visit")
        app = self.layer if visit is None else visit.visited[self.itself].resume(self.layer, scope)
        await app(scope, receive, send)


def continue_with(scope: Any, app: Any, leave: Leave | None) -> None:
    """Let ``app`` stand behind the app's layers, which are entered next; ``leave`` is what ``admit`` gave."""
    scope["freelane.continue"] = app
    if type(leave) is Visit:
        scope["freelane.visit"] = leave


async def ignore(message: Any) -> None:
    pass


async def never() -> Any:
    raise RuntimeError("a layer read the request")


def passes(layer: Any, scope: Any) -> bool:
    """Whether the layer calls what is behind it."""
    reached = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    around = copy.copy(layer)
    around.app = app
    finish(around(scope, never, ignore))
    return bool(reached)


def replay(layer: Any, scope: Any, status: int, headers: RawHeaders, body: bytes, streamed: bool = False) -> Whole | None:
    """What the layer makes of a whole response; None if that is no whole response."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body, "more_body": streamed})
        if streamed:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(message: Any) -> None:
        sent.append(message)

    around = copy.copy(layer)
    around.app = app
    finish(around(scope, never, send))
    if len(sent) != 2 + streamed or sent[0]["status"] != status or sent[-1].get("more_body"):
        return None
    return sent[0]["headers"], b"".join([message.get("body", b"") for message in sent[1:]])
