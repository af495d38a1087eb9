"""What answers a route's requests in the app's place, from its plan.

Only a plain response is sent straight away. What else follows an endpoint (an exception, a
stream, background work) goes through the app's own layers, entered behind the endpoint.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from anyio import from_thread
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from freelane.adapters.compat import starlette_gate, versions
from freelane.adapters.compat.starlette_private import wrap_app_handling_exceptions
from freelane.adapters.starlette.endpoint import Endpoint
from freelane.adapters.starlette.layers import continue_with
from freelane.adapters.starlette.plan import ASGIApp, Closing, Delegate, Entry, Later, Plan
from freelane.adapters.starlette.sections import Part
from freelane.adapters.starlette.threads import ThreadCalls, as_awaited, thread_name
from freelane.fastcore.asgi.http import HTTPExchange

# What sends a plain response, unless a tool has put itself in its place.
OWN_CALL = versions.own(starlette_gate.RESPONSE)

# None, or what answers once it is awaited.
Answer = Callable[[HTTPExchange], Awaitable[None] | None]
Serve = Callable[[HTTPExchange, bytes | None], ASGIApp | None]

# What calls background tasks, likewise.
CALLS_TASK = versions.own("starlette.background:BackgroundTask.__call__")
CALLS_TASKS = {versions.own("starlette.background:BackgroundTasks.__call__")}


class Answers:
    """Makes the answers of one gateway.

    ``behind`` is the app's layers of ``part`` around ``continue_scope``, ``layers`` the compiled form of
    those that are not the framework's own.
    """

    def __init__(self, part: Part, gateway: Any, calls: ThreadCalls | None) -> None:
        self.behind: ASGIApp = part.behind
        self.gateway = gateway
        self.calls = calls
        self.layers = part.chain
        # What a request that the layers do not let through goes to: they may not be what they were.
        self.copies: Callable[[], ASGIApp] = part.copies

    def layered_answer(self, entry: Entry) -> Answer:
        """For the loop lane, behind the user's layers."""
        answer, layers = self.answer(entry), self.layers
        if layers.is_empty:
            return answer

        def admitted(exchange: HTTPExchange) -> Awaitable[None] | None:
            exchange.leaving = layers.admit(exchange.scope)
            return self.refuse(exchange, entry.app) if exchange.leaving is None else answer(exchange)

        return admitted

    def layered_serve(self, entry: Entry) -> Serve | None:
        """For the free lane, behind the user's layers."""
        serve, layers = self.serve(entry), self.layers
        if serve is None or layers.is_empty:
            return serve

        def admitted(exchange: HTTPExchange, body: bytes | None) -> ASGIApp | None:
            exchange.leaving = layers.admit(exchange.scope)
            if exchange.leaving is not None:
                return serve(exchange, body)
            continue_with(exchange.scope, entry.app, None)
            return self.copies()

        return admitted

    async def refuse(self, exchange: HTTPExchange, rest: ASGIApp) -> None:
        continue_with(exchange.scope, rest, None)
        await self.copies()(exchange.scope, exchange.receive, exchange.send)

    async def go_behind(self, exchange: HTTPExchange, rest: ASGIApp) -> None:
        continue_with(exchange.scope, rest, exchange.leaving)
        await self.behind(exchange.scope, exchange.receive, exchange.send)

    def answer(self, entry: Entry) -> Answer:
        """For the loop lane."""
        plan = entry.plan
        call = self.on_loop(plan)
        if call is None:
            return self.through_layers(entry)
        return EndpointAnswer(call, plan.body, plan.opened, self.go_behind, entry.app)

    def on_loop(self, plan: Plan) -> Callable[..., Awaitable[Any]] | None:
        """The plan's call as a coroutine function."""
        call: Callable[..., Awaitable[Any]] | None = plan.call
        return self.on_thread(call) if call is not None and plan.lane == "free" else call

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
        plan, calls = entry.plan, self.calls
        call: Any = plan.call
        if call is None or plan.lane != "free" or calls is None:
            return None
        context, observed, behind, opens = self.gateway.context, self.gateway.observed, self.behind, plan.opened

        def serve(exchange: HTTPExchange, body: bytes | None) -> ASGIApp | None:
            scope = exchange.scope
            if observed:
                scope["freelane.lane"] = ("free", thread_name())
            calls.enter()
            rest: ASGIApp | None = context.copy().run(trip, exchange, () if body is None else (body,))
            if rest is None:
                return None
            continue_with(scope, rest, exchange.leaving)
            return behind

        def trip(exchange: HTTPExchange, arguments: tuple[Any, ...]) -> ASGIApp | None:
            """Answer the request; what is left for the loop to do, or None."""
            nonlocal call
            if type(call) is Later:
                call = call.made()
            request: Any = Request(exchange.scope, exchange.receive, exchange.send)
            opened = None if opens is None else opens()
            if opened is not None:
                arguments = (opened, *arguments)
            try:
                response = call(request, *arguments)
            except Delegate:
                app: ASGIApp = entry.app
                return app
            except BaseException as exc:
                return Outcome(request, error=opened.fail(exc) if opened else exc).go_on
            background = getattr(response, "background", None)
            tasks = () if background is None else tasks_for_threads(background)
            if (
                type(response).__call__ is not OWN_CALL
                or tasks is None
                or not exchange.respond_now(response.status_code, response.raw_headers, response.body)
            ):
                return Outcome(request, response, opened=opened).go_on
            left = run(tasks) if tasks else None
            if opened:
                left = opened.close(None) if left is None else opened.fail(left)
            if left is None:
                return None
            exchange.drop_messages()
            return Outcome(request, response, left).go_on

        return serve


class EndpointAnswer(Endpoint):
    """``go_behind(exchange, app)`` runs ``app`` behind the app's layers, ``app`` is the framework's own for the route."""

    def __init__(self, call: Any, reads: bool, opens: Any, go_behind: Callable[..., Awaitable[None]], app: ASGIApp) -> None:
        self.go_behind = go_behind
        self.app = app

    async def read(self, exchange: HTTPExchange) -> None:
        try:
            body = await exchange.body()
        except ConnectionError:
            # The framework finds the same when it reads.
            await self.go_behind(exchange, self.app)
            return
        # For whoever reads it later: the framework's own path, or a handler of what is raised.
        exchange.take_body(body)
        left = self(exchange)
        if left is not None:
            await left

    async def wait(self, exchange: HTTPExchange, request: Any, opened: Any, awaitable: Awaitable[Any]) -> None:
        try:
            response = await awaitable
        except Delegate:
            await self.delegate(exchange)
        except BaseException as exc:
            await self.fail(exchange, request, opened, exc)
        else:
            left = self.finish(exchange, request, opened, response)
            if left is not None:
                await left

    async def close(self, exchange: HTTPExchange, request: Any, opened: Any, response: Any) -> None:
        left = await opened.aclose(None)
        if left is not None:
            exchange.drop_messages()
            await self.go_behind(exchange, Outcome(request, response, left).go_on)

    async def respond(self, exchange: HTTPExchange, request: Any, opened: Any, response: Any) -> None:
        await self.go_behind(exchange, Outcome(request, response, opened=opened).go_on)

    async def fail(self, exchange: HTTPExchange, request: Any, opened: Any, error: BaseException) -> None:
        left = await opened.afail(error) if opened else error
        await self.go_behind(exchange, Outcome(request, error=left).go_on)

    async def delegate(self, exchange: HTTPExchange) -> None:
        await self.go_behind(exchange, self.app)


def is_plain(response: Any) -> bool:
    """Whether sending the response is all that is left, and it is there whole."""
    return type(response).__call__ is OWN_CALL and response.background is None


def tasks_for_threads(background: Any) -> list[BackgroundTask] | None:
    """The tasks that follow a response, if all of them are `def` functions and called by Starlette's own code."""
    if BackgroundTask.__call__ is not CALLS_TASK:
        return None
    kind = type(background)
    tasks = background.tasks if issubclass(kind, BackgroundTasks) and kind.__call__ in CALLS_TASKS else [background]
    return tasks if all(type(task) is BackgroundTask and not task.is_async for task in tasks) else None


def run(tasks: list[BackgroundTask]) -> BaseException | None:
    """Run background tasks as ``run_in_threadpool`` does; the exception that ended them."""
    try:
        for task in tasks:
            if type(task) is BackgroundTask and not task.is_async:
                copy_context().run(task.func, *task.args, **task.kwargs)
            else:  # one of them has added it
                from_thread.run(task)
    except BaseException as exc:
        return as_awaited(exc)
    return None


@dataclass(slots=True)
class Outcome:
    """What an endpoint did, on its way through the app's layers.

    A ``response`` with an ``error`` was sent already, and the layers are only told of it.
    """

    request: Request
    response: Any = None
    error: BaseException | None = None
    opened: Closing | None = None

    async def go_on(self, scope: Any, receive: Any, send: Any) -> None:
        """Go on as ``starlette.routing.request_response`` does when its endpoint returns."""
        await wrap_app_handling_exceptions(self.end, self.request)(scope, receive, send)

    async def end(self, scope: Any, receive: Any, send: Any) -> None:
        if self.error is None:
            await self.respond(scope, receive, send)
            return
        if self.response is not None:
            await send({"type": "http.response.start", "status": self.response.status_code, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        error, self.error = self.error, None
        raise error

    async def respond(self, scope: Any, receive: Any, send: Any) -> None:
        if self.opened is None:
            await self.response(scope, receive, send)
            return
        left: BaseException | None
        try:
            await self.response(scope, receive, send)
        except BaseException as exc:
            left = await self.opened.afail(exc)
        else:
            left = await self.opened.aclose(None)
        if left is not None:
            raise left
