"""What answers a route's requests in the app's place, from its plan.

Only a plain response is sent straight away. What else follows an endpoint (an exception, a
stream, background work) goes through the app's own layers, entered behind the endpoint.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from freelane.adapters.compat import starlette_gate, versions
from freelane.adapters.starlette.layers import Stack
from freelane.adapters.starlette.plan import ASGIApp, Delegate, Entry
from freelane.adapters.starlette.threads import ThreadCalls, thread_name
from freelane.fastcore.asgi.http import HTTPExchange

# What sends a plain response, unless a tool has put itself in its place.
OWN_CALL = versions.own(starlette_gate.RESPONSE)

Answer = Callable[[HTTPExchange], Awaitable[None]]
Serve = Callable[[HTTPExchange, bytes | None], ASGIApp | None]


class Answers:
    """Makes the answers of one gateway.

    ``behind`` is the app's layers around ``continue_scope``, ``layers`` the compiled form of those
    that are not the framework's own.
    """

    def __init__(self, behind: ASGIApp, gateway: Any, calls: ThreadCalls | None, layers: Stack | None = None) -> None:
        self.behind = behind
        self.gateway = gateway
        self.calls = calls
        self.layers = layers

    def layered_answer(self, entry: Entry) -> Answer:
        """For the loop lane, behind the user's layers."""
        answer, layers = self.answer(entry), self.layers
        if layers is None:
            return answer

        async def admitted(exchange: HTTPExchange) -> None:
            if layers.admit(exchange.scope):
                exchange.leaving = layers.leave
                await answer(exchange)
            else:
                await self.go_behind(exchange, entry.app)

        return admitted

    def layered_serve(self, entry: Entry) -> Serve | None:
        """For the free lane, behind the user's layers."""
        serve, layers = self.serve(entry), self.layers
        if serve is None or layers is None:
            return serve

        def admitted(exchange: HTTPExchange, body: bytes | None) -> ASGIApp | None:
            if layers.admit(exchange.scope):
                exchange.leaving = layers.leave
                return serve(exchange, body)
            exchange.scope["freelane.continue"] = entry.app
            return self.behind

        return admitted

    async def go_behind(self, exchange: HTTPExchange, rest: ASGIApp) -> None:
        exchange.scope["freelane.continue"] = rest
        await self.behind(exchange.scope, exchange.receive, exchange.send)

    def answer(self, entry: Entry) -> Answer:
        """For the loop lane."""
        plan, call, go_behind = entry.plan, entry.plan.call, self.go_behind
        if call is None:
            return self.through_layers(entry)
        if plan.lane == "free":
            call = self.on_thread(call)
        reads = plan.body

        async def answer(exchange: HTTPExchange) -> None:
            if reads:
                try:
                    body = await exchange.body()
                except ConnectionError:
                    # The framework finds the same when it reads.
                    await go_behind(exchange, entry.app)
                    return
                # For whoever reads it later: the framework's own path, or a handler of what is raised.
                exchange.take_body(body)
            request: Any = Request(exchange.scope, exchange.receive, exchange.send)
            try:
                response = await (call(request, body) if reads else call(request))
            except Delegate:
                rest = entry.app
            except Exception as exc:
                rest = Outcome(request, None, exc).go_on
            else:
                if is_plain(response) and exchange.respond_now(response.status_code, response.raw_headers, response.body):
                    return
                rest = Outcome(request, response, None).go_on
            await go_behind(exchange, rest)

        return answer

    def on_thread(self, call: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        """``call`` on the worker's executor; on anyio's threads under a server that gives none."""
        calls = self.calls

        async def awaited(*args: Any) -> Any:
            return await (run_in_threadpool(call, *args) if calls is None else calls.run(call, *args))

        return awaited

    def through_layers(self, entry: Entry) -> Answer:
        async def answer(exchange: HTTPExchange) -> None:
            await self.go_behind(exchange, entry.plan.app)

        return answer

    def serve(self, entry: Entry) -> Serve | None:
        """For the free lane; None for a route that needs the loop."""
        plan, call, calls = entry.plan, entry.plan.call, self.calls
        if call is None or plan.lane != "free" or calls is None:
            return None
        context, observed, behind = self.gateway.context, self.gateway.observed, self.behind

        def serve(exchange: HTTPExchange, body: bytes | None) -> ASGIApp | None:
            scope = exchange.scope
            if observed:
                scope["freelane.lane"] = ("free", thread_name())
            request: Any = Request(scope, exchange.receive, exchange.send)
            calls.enter()
            try:
                run = context.copy().run
                response = run(call, request) if body is None else run(call, request, body)
            except Delegate:
                scope["freelane.continue"] = entry.app
            except BaseException as exc:
                scope["freelane.continue"] = Outcome(request, None, exc).go_on
            else:
                if is_plain(response) and exchange.respond_now(response.status_code, response.raw_headers, response.body):
                    return None
                scope["freelane.continue"] = Outcome(request, response, None).go_on
            return behind

        return serve


def is_plain(response: Any) -> bool:
    """Whether sending the response is all that is left, and it is there whole."""
    return type(response).__call__ is OWN_CALL and response.background is None


async def continue_scope(scope: Any, receive: Any, send: Any) -> None:
    """What stands behind the app's layers when they are entered late."""
    app: ASGIApp = scope.pop("freelane.continue")
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
