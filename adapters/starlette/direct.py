"""Answer requests where they arrive, without the shells of middleware that have nothing to do.

Taken only where nothing but the framework's own code would run around the endpoint, so that
the answer cannot differ. What follows the endpoint and is not a plain response (an exception,
a stream, background work) goes through the app's own layers, entered behind the endpoint.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from freelane.adapters.starlette import stack
from freelane.adapters.starlette.plan import Delegate, Entry
from freelane.adapters.starlette.reader import Reader
from freelane.adapters.starlette.routing import CompiledRouter
from freelane.adapters.starlette.threads import ThreadCalls, overloaded, thread_name
from freelane.fastcore.body import WholeBody
from freelane.fastcore.http import HTTPExchange


class Direct:
    """The way of one gateway's requests to the endpoints of a plain app."""

    def __init__(self, app: Any, reader: Reader, router: CompiledRouter, calls: ThreadCalls | None, gateway: Any) -> None:
        self.app = app
        self.reader = reader
        self.router = router
        self.calls = calls
        self.gateway = gateway
        self.stack = app.middleware_stack
        self.root_path = gateway.root_path or reader.root_path(app)
        self.strip = self.root_path if self.root_path != gateway.root_path else ""
        self.constants = {
            "app": app,
            "router": app.router,
            "root_path": self.root_path,
            "starlette.exception_handlers": stack.handlers(app),
        }
        self.behind = stack.entered_behind(app, continue_scope)

    def find(self, method: str, path: str) -> tuple[Entry, dict[str, Any] | None] | None:
        """The entry that answers, if the app is still what it was and nothing must see the request."""
        if self.app.middleware_stack is not self.stack or self.reader.observed(self.app):
            return None
        if self.strip:
            path = below(self.strip, path)
        found = self.router.find(method, path)
        if found is None or type(found[0]) is not Entry or not found[0].unchanged():
            return None
        return found  # type: ignore[return-value]

    def schedule(self, watcher: Any) -> None:
        """Take a request on one of Granian's threads."""
        gateway = self.gateway
        source = watcher.scope
        if gateway.rsgi:
            found = self.find(source.method, source.path) if source.proto == "http" else None
        else:
            found = self.find(source["method"], source["path"]) if source["type"] == "http" else None
        if found is None:
            gateway.schedule(watcher)
            return
        entry, params = found
        plan = entry.plan
        go = self.run_here if plan.lane == "free" else self.post
        if not plan.body:
            go((watcher, source, entry, params, None))
        elif not gateway.rsgi or not WholeBody(
            watcher, source, lambda body: go((watcher, source, entry, params, body))
        ).begin():
            gateway.schedule(watcher)

    def post(self, call: Any) -> None:
        if not self.gateway.lane.post(self.begin, call):
            call[0].done()

    def run_here(self, call: Any) -> None:
        assert self.calls is not None
        if not self.calls.executor.run_here(self.serve, call):
            watcher, source = call[:2]
            response = overloaded()
            self.gateway.open(source, watcher.proto).respond_now(
                response.status_code, response.raw_headers, response.body
            )

    def begin(self, call: Any) -> None:
        """Start a request of the loop lane, on the loop's thread."""
        watcher, source, entry, params, body = call
        try:
            exchange = self.gateway.open(source, watcher.proto)
        except BaseException as exc:
            self.gateway.log_error("The request could not be understood\n", exc)
            watcher.done()
            return
        exchange.watcher = watcher
        if body is not None:
            exchange.take_body(body)
        self.attach(exchange, entry, params)
        exchange.start(self.gateway.context.copy())

    def take(self, exchange: HTTPExchange) -> None:
        """Let the entry for a request that is about to start answer it, if there is one."""
        scope = exchange.scope
        if scope["type"] == "http":
            found = self.find(scope["method"], below(self.gateway.root_path, scope["path"]))
            if found is not None:
                self.attach(exchange, *found)

    def attach(self, exchange: HTTPExchange, entry: Entry, params: dict[str, Any] | None) -> None:
        """Let ``entry`` answer in the app's place."""
        scope = exchange.scope
        scope.update(self.constants)
        entry.enter(scope, params)
        answer = self.answer if entry.plan.call is not None else self.answer_behind
        exchange.answer = functools.partial(answer, entry)

    async def answer(self, entry: Entry, exchange: HTTPExchange) -> None:
        """Answer by the plan."""
        plan = entry.plan
        request: Any = Request(exchange.scope, exchange.receive, exchange.send)
        body = None
        try:
            if plan.body:
                body = await exchange.body()
            if plan.lane == "free":
                # Only under another RSGI server, which has no free lane.
                response = await run_in_threadpool(plan.call, *((request, body) if plan.body else (request,)))  # type: ignore[arg-type]
            elif plan.body:
                response = await plan.call(request, body)  # type: ignore[misc]
            else:
                response = await plan.call(request)  # type: ignore[misc]
        except (Delegate, ConnectionError) as exc:
            if plan.body and (body is None or type(exc) is Delegate):
                await self.delegate(entry, exchange, body)
                return
            outcome = Outcome(request, None, exc)
        except Exception as exc:
            outcome = Outcome(request, None, exc)
        else:
            if is_plain(response) and exchange.respond_now(
                response.status_code, response.raw_headers, response.body
            ):
                return
            outcome = Outcome(request, response, None)
        exchange.scope["freelane.continue"] = outcome.go_on
        del request, outcome
        await self.behind(exchange.scope, exchange.receive, exchange.send)

    async def answer_behind(self, entry: Entry, exchange: HTTPExchange) -> None:
        """Answer by the route's own app, inside the app's layers."""
        exchange.scope["freelane.continue"] = entry.plan.app
        await self.behind(exchange.scope, exchange.receive, exchange.send)

    async def delegate(self, entry: Entry, exchange: HTTPExchange, body: bytes | None) -> None:
        """Let the framework answer from the start; nothing of the app's has run."""
        if body is not None:
            exchange.take_body(body)
        exchange.scope["freelane.continue"] = entry.app
        await self.behind(exchange.scope, exchange.receive, exchange.send)

    def serve(self, call: Any) -> None:
        """Answer a request of the free lane on this thread, or send what is left to the loop."""
        watcher, source, entry, params, body = call
        gateway = self.gateway
        try:
            exchange = gateway.open(source, watcher.proto)
            scope = exchange.scope
            scope.update(self.constants)
            entry.enter(scope, params)
            if gateway.observed:
                scope["freelane.lane"] = ("free", thread_name())
            request: Any = Request(scope, exchange.receive, exchange.send)
        except BaseException as exc:
            gateway.log_error("The request could not be understood\n", exc)
            watcher.done()
            return
        assert self.calls is not None
        self.calls.enter()
        plan = entry.plan
        try:
            run = gateway.context.copy().run
            response = run(plan.call, request, body) if plan.body else run(plan.call, request)
            if is_plain(response) and exchange.respond_now(
                response.status_code, response.raw_headers, response.body
            ):
                return
            scope["freelane.continue"] = Outcome(request, response, None).go_on
        except Delegate:
            if body is not None:
                exchange.take_body(body)
            scope["freelane.continue"] = entry.app
        except BaseException as exc:
            scope["freelane.continue"] = Outcome(request, None, exc).go_on
        exchange.app = self.behind
        exchange.watcher = watcher
        if not gateway.lane.post(self.hand_over, exchange):
            watcher.done()

    def hand_over(self, exchange: HTTPExchange) -> None:
        exchange.start(self.gateway.context.copy())


def below(root_path: str, path: str) -> str:
    """``path`` without ``root_path``, as ``starlette._utils.get_route_path`` has it."""
    if root_path and path.startswith(root_path):
        if path == root_path:
            return ""
        if path[len(root_path)] == "/":
            return path[len(root_path) :]
    return path


def is_plain(response: Any) -> bool:
    """Whether sending the response is all that is left, and it is there whole."""
    return type(response).__call__ is Response.__call__ and response.background is None


async def continue_scope(scope: Any, receive: Any, send: Any) -> None:
    """What stands behind the app's layers when they are entered late."""
    app: Callable[..., Any] = scope.pop("freelane.continue")
    await app(scope, receive, send)


@dataclass(slots=True)
class Outcome:
    """What an endpoint did, on its way through the app's layers."""

    request: Request
    response: Any
    error: BaseException | None

    async def go_on(self, scope: Any, receive: Any, send: Any) -> None:
        """Go on as ``starlette.routing.request_response`` does when its endpoint returns."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if self.error is not None:
                error, self.error = self.error, None
                raise error
            await self.response(scope, receive, send)

        await wrap_app_handling_exceptions(app, self.request)(scope, receive, send)
