"""Answer `def` endpoints on the thread that Granian calls, without visiting the event loop.

Taken only where nothing but Starlette's own code would run around the endpoint, so that the
answer cannot differ: no user middleware, no debug mode, an ordinary ``Route``. What follows
the endpoint and needs a loop (an exception, a streamed response, background work) is handed
to it, through the same exception handlers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette._exception_handler import wrap_app_handling_exceptions
from starlette._utils import is_async_callable
from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router, WebSocketRoute

from freelane.adapters.starlette.threads import ThreadCalls, overloaded, thread_name
from freelane.fastcore.http import HTTPExchange
from freelane.fastcore.router import Router as RadixRouter


@dataclass(frozen=True, slots=True)
class Entry:
    """A route that may be answered here, and what it was made of when serving began."""

    route: Route
    index: int
    app: Any
    endpoint: Callable[[Request], Any]


class DirectRoutes:
    """The routes of ``app`` that need no loop; ``any`` is False when there is none."""

    def __init__(self, app: Starlette, executor: Any, calls: ThreadCalls) -> None:
        self.app = app
        self.executor = executor
        self.calls = calls
        self.stack = app.middleware_stack
        self.routes = app.router.routes
        self.count = len(self.routes)
        self.any = False
        self.match: Callable[[str, str], Any] | None = None
        if self.plain():
            self.compile()

    def plain(self) -> bool:
        """Whether only Starlette's own code stands between the server and the routes."""
        app, stack = self.app, self.stack
        return (
            type(app).__call__ is Starlette.__call__
            and type(app).build_middleware_stack is Starlette.build_middleware_stack
            and not app.debug
            and type(stack) is ServerErrorMiddleware
            and type(stack.app) is ExceptionMiddleware
            and type(app.router) is Router
            and stack.app.app is app.router
            and app.router.middleware_stack == app.router.app
        )

    def compile(self) -> None:
        router = RadixRouter("first", convertors=CONVERTOR_TYPES)
        for index, route in enumerate(self.routes):
            if type(route) is Route:
                value = self.entry(route, index)
                router.add(route.path, route.methods, value)
                self.any = self.any or value is not None
            elif type(route) is Mount:
                router.add(route.path, None, None, prefix=True)
            elif not isinstance(route, WebSocketRoute):
                break  # an unknown kind of route may match anything that follows
        self.match = router.publish().match

    def entry(self, route: Route, index: int) -> Entry | None:
        moved = getattr(route.app, "freelane_moved", False)
        if not moved or is_async_callable(route.endpoint):
            return None
        return Entry(route, index, route.app, route.endpoint)

    def unchanged(self, entry: Entry) -> bool:
        """Whether the app is still what was compiled, as far as this route goes."""
        app, route = self.app, entry.route
        return (
            app.middleware_stack is self.stack
            and app.router.routes is self.routes
            and len(self.routes) == self.count
            and self.routes[entry.index] is route
            and route.app is entry.app
            and route.endpoint is entry.endpoint
        )

    def bind(self, gateway: Any) -> Callable[[Any], None]:
        """The function that Granian's threads call with each request."""
        return DirectCalls(self, gateway).schedule


class DirectCalls:
    """Requests of one gateway that are answered on Granian's threads."""

    def __init__(self, routes: DirectRoutes, gateway: Any) -> None:
        self.routes = routes
        self.gateway = gateway
        self.match = routes.match
        self.rsgi = gateway.rsgi
        self.handlers = routes.stack.app._exception_handlers, routes.stack.app._status_handlers
        self.resumed = self.resumed_stack(routes.stack)

    def resumed_stack(self, stack: Any) -> Any:
        """The app's stack, entered behind the endpoint."""
        outer = copy.copy(stack)
        outer.app = copy.copy(stack.app)
        outer.app.app = resume
        return outer

    def schedule(self, watcher: Any) -> None:
        source = watcher.scope
        if self.rsgi:
            method = source.method if source.proto == "http" else ""
            path = source.path
        else:
            method = source.get("method", "")
            path = source["path"]
        try:
            found = self.match(method, path) if method else None
        except Exception:  # a user's convertor refused the value: the app's own path says so
            found = None
        if type(found) is not tuple or found[0] is None or not self.routes.unchanged(found[0]):
            self.gateway.schedule(watcher)
        elif not self.routes.executor.run_here(self.serve, (watcher, source, found)):
            exchange = self.gateway.open(source, watcher.proto)
            response = overloaded()
            exchange.respond_now(response.status_code, response.raw_headers, response.body)

    def serve(self, call: tuple[Any, Any, Any]) -> None:
        watcher, source, (entry, params) = call
        try:
            exchange = self.gateway.open(source, watcher.proto)
            request = self.request(exchange, entry, params)
        except BaseException as exc:
            self.gateway.log_error("The request could not be understood\n", exc)
            watcher.done()
            return
        self.routes.calls.enter()
        try:
            response = self.gateway.context.copy().run(entry.endpoint, request)
            if type(response).__call__ is Response.__call__ and response.background is None:
                if exchange.respond_now(response.status_code, response.raw_headers, response.body):
                    return
            outcome = Outcome(request, response, None)
        except BaseException as exc:
            outcome = Outcome(request, None, exc)
        exchange.scope["freelane.outcome"] = outcome
        exchange.app = self.resumed
        exchange.watcher = watcher
        if not self.gateway.lane.post(self.hand_over, exchange):
            watcher.done()

    def hand_over(self, exchange: HTTPExchange) -> None:
        exchange.start(self.gateway.context.copy())

    def request(self, exchange: HTTPExchange, entry: Entry, params: dict[str, Any] | None) -> Request:
        """The request as Starlette's routing would have left it."""
        scope = exchange.scope
        scope["app"] = self.routes.app
        scope["starlette.exception_handlers"] = self.handlers
        scope["router"] = self.routes.app.router
        scope["route"] = entry.route
        scope["endpoint"] = entry.endpoint
        scope["path_params"] = params or {}
        if self.gateway.observed:
            scope["freelane.lane"] = ("free", thread_name())
        return Request(scope, exchange.receive, exchange.send)


@dataclass(slots=True)
class Outcome:
    """What an endpoint did, on its way to the loop."""

    request: Request
    response: Any
    error: BaseException | None


async def resume(scope: Any, receive: Any, send: Any) -> None:
    """Go on as ``starlette.routing.request_response`` does when its endpoint returns."""
    outcome: Outcome = scope.pop("freelane.outcome")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if outcome.error is not None:
            error, outcome.error = outcome.error, None
            raise error
        await outcome.response(scope, receive, send)

    await wrap_app_handling_exceptions(app, outcome.request)(scope, receive, send)
