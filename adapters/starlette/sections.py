"""A route behind middleware that has code of the user's, as one coroutine.

The app's layers fall into sections, divided by the ``BaseHTTPMiddleware`` among them. Inside a
section only Starlette's own code runs; a whole response passes it in its compiled form, and
whatever else comes of the endpoint goes through copies of the layers, entered behind it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import ClientDisconnect, Request

from freelane.adapters.starlette.layers import Leave, RawHeaders, Stack, continue_with
from freelane.adapters.starlette.plan import ASGIApp, Delegate, Entry

# What follows a response, given the exception that came of sending it; returns the one that is left.
End = Callable[[BaseException | None], Awaitable[BaseException | None]]


@dataclass(slots=True)
class Whole:
    """A whole response on its way out.

    ``again`` sends it through the section's layers instead; ``streamed``: whether the layers
    around see its body in a message of its own, as from a stream; ``leave`` is what the outermost of the
    layers that it has passed keep of its request.
    """

    status: int
    headers: RawHeaders
    body: bytes
    again: ASGIApp
    end: End | None = None
    streamed: bool = False
    leave: Leave | None = None


@dataclass(slots=True)
class Rest:
    """What is still to be run to answer a request."""

    app: ASGIApp


# (scope, receive, send, path parameters) -> outcome.
Node = Callable[[Any, Any, Any, Any], Coroutine[Any, Any, Whole | Rest]]


async def continue_scope(scope: Any, receive: Any, send: Any) -> None:
    """What stands behind the app's layers when they are entered late."""
    app: ASGIApp = scope.pop("freelane.continue")
    scope.pop("freelane.visit", None)
    await app(scope, receive, send)


async def drop(message: Any) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Divider:
    """A layer with code of the user's that runs in the request's task.

    ``node(layer, inside)`` is its compiled form, ``attributes`` and ``code`` are what that depends on.
    """

    layer: Any
    node: Callable[[Any, Node], Node]
    attributes: tuple[str, ...]
    code: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Layers inside a divider (None for the outermost), down to the next one.

    ``chain`` is the compiled form of the user's among them, ``copies()`` are copies of all of them
    around ``continue_scope``, ``behind`` some that were made at the start, ``itself`` the outermost of
    them in the app.
    """

    divider: Divider | None
    chain: Stack
    behind: Any
    itself: Any
    copies: Callable[[], Any]


class Section:
    """Layers around ``inside``: ``chain`` is their compiled form, ``behind`` their copies around ``continue_scope``.

    ``itself`` is the app's own: the layers, and what is inside them.
    """

    def __init__(self, inside: Node, chain: Stack, behind: ASGIApp, itself: ASGIApp) -> None:
        self.inside = inside
        self.chain = chain
        self.behind = behind
        self.itself = itself

    async def __call__(self, scope: Any, receive: Any, send: Any, params: Any) -> Whole | Rest:
        leave: Leave | None = None
        if not self.chain.is_empty:
            leave = self.chain.admit(scope)
            if leave is None:
                return Rest(self.itself)
        found = await self.inside(scope, receive, send, params)
        if type(found) is Rest:
            return Rest(partial(self.enter, found.app, leave))
        assert type(found) is Whole
        found.again = partial(self.enter, found.again, leave)
        if leave is not None:
            left = leave(scope, found.status, found.headers, found.body, found.streamed)
            if left is None:
                return Rest(found.again)
            found.headers, found.body = left
        found.leave = leave
        if found.end is not None:
            found.end = partial(self.end, found.end, found.status, leave, scope, receive)
        return found

    async def enter(self, app: ASGIApp, leave: Leave | None, scope: Any, receive: Any, send: Any) -> None:
        continue_with(scope, app, leave)
        await self.behind(scope, receive, send)

    async def end(
        self, end: End, status: int, leave: Leave | None, scope: Any, receive: Any, error: BaseException | None
    ) -> BaseException | None:
        """Finish what is inside; layers are told of an exception that comes after the response."""
        left = await end(error)
        return left if left is None or left is error else await self.tell(left, status, leave, scope, receive)

    async def tell(
        self, error: BaseException, status: int, leave: Leave | None, scope: Any, receive: Any
    ) -> BaseException | None:
        """Let the layers see an exception that came after the response had begun; returns what they raise."""

        async def failing(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            raise error

        try:
            await self.enter(failing, leave, scope, receive, drop)
        except BaseException as exc:
            return exc
        return None


class Endpoint:
    """The innermost node: a route's endpoint. ``constants`` are what the layers around it leave in the scope."""

    def __init__(self, entry: Entry, call: Callable[..., Any], constants: dict[str, Any], outcome: Callable[..., Any],
                 is_plain: Callable[[Any], bool]) -> None:  # fmt: skip
        self.entry = entry
        self.call = call
        self.constants = constants
        self.outcome = outcome
        self.is_plain = is_plain

    async def __call__(self, scope: Any, receive: Any, send: Any, params: Any) -> Whole | Rest:
        entry, plan, outcome = self.entry, self.entry.plan, self.outcome
        scope.update(self.constants)
        entry.enter(scope, params)
        if plan.call is None:
            return Rest(plan.app)
        request: Any = Request(scope, receive, send)
        arguments: tuple[Any, ...] = ()
        app = entry.app
        if plan.body:
            try:
                body = await request.body()
            except ClientDisconnect:
                return Rest(app)  # which finds the same
            except Exception as exc:  # of a layer's own `receive`: the framework says what it is
                return Rest(partial(with_error, exc, app))
            arguments = (body,)
            app = partial(with_body, body, app)
        opened = None if plan.opened is None else plan.opened()
        if opened is not None:
            arguments = (opened, *arguments)
        try:
            response = await self.call(request, *arguments)
        except Delegate:
            return Rest(app)
        except BaseException as exc:
            error = await opened.afail(exc) if opened else exc
            if not isinstance(error, Exception):
                raise error from None
            return Rest(outcome(request, error=error).go_on)
        again = outcome(request, response, opened=opened).go_on
        if not self.is_plain(response):
            return Rest(again)
        return Whole(response.status_code, response.raw_headers, response.body, again, opened.aclose if opened else None)


async def with_body(body: bytes, app: ASGIApp, scope: Any, receive: Any, send: Any) -> None:
    """``app`` for a request whose body was read."""
    read = False

    async def again() -> Any:
        nonlocal read
        if read:
            return await receive()
        read = True
        return {"type": "http.request", "body": body, "more_body": False}

    await app(scope, again, send)


async def with_error(error: Exception, app: ASGIApp, scope: Any, receive: Any, send: Any) -> None:
    """``app`` for a request whose body could not be read."""

    async def again() -> Any:
        raise error

    await app(scope, again, send)
