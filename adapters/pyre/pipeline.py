"""From a request to its answer: preflight, hooks, handler, rendering, errors, CORS, log.

One ``Pipeline`` is a compiled snapshot of an app; it is replaced as a whole when the app
changes, so that threads read it without a lock.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from freelane.adapters.pyre import body_use
from freelane.adapters.pyre.exceptions import HTTPException, InvalidValue
from freelane.adapters.pyre.models import ModelError
from freelane.adapters.pyre.requests import BareAnswer, DirectRequest, PyreRequest
from freelane.adapters.pyre.responses import (
    JSON_TYPE,
    TEXT_TYPE,
    Answer,
    HeaderError,
    JSONError,
    as_response,
    error,
    header_pairs,
    render,
)
from freelane.adapters.pyre.routes import Route, is_async, nowhere
from freelane.adapters.pyre.threads import Overloaded
from freelane.fastcore.routing.dispatcher import Call, Table
from freelane.fastcore.routing.guard import Guard

if TYPE_CHECKING:
    from freelane.adapters.pyre.app import Pyre

logger = logging.getLogger("freelane.pyre")

OnThread = Callable[..., Awaitable[Any]]

# Not the app's, but the server's to answer.
SERVER_ERRORS = (SystemExit, KeyboardInterrupt, asyncio.CancelledError, Overloaded)


class Pipeline:
    def __init__(self, app: Pyre) -> None:
        self.app = app
        self.before = tuple(app.before_hooks)
        self.after = tuple(app.after_hooks)
        self.fallback = app.fallback_route
        self.cors = app.cors
        self.log = app.request_log
        self.debug = app.debug
        extra = app.extra_routes()
        self.match = app.table.compile(extra).match
        self.async_hooks = any(is_async(hook) for hook in self.before + self.after)
        # Nothing but the handler runs: the shortest way.
        self.bare = not (self.before or self.after or self.cors or self.log)
        hooks_ask = any(body_use.hook_may_ask(hook) for hook in self.before + self.after)
        for route in (*app.table.routes, *extra):
            if route.elsewhere is not nowhere:
                route.lane = "gil"
            else:
                route.lane = "free" if self.on_threads(route) and not route.gil else "loop"
            route.body = route.asks_for_body or hooks_ask
            route.limit = app.max_body_size
        answer = BareAnswer(self.failure, app.wait) if self.bare else self.answer_on_thread
        # Good for as long as this is the app's pipeline.
        self.table = Table(Guard([(app, "compiled", self)]), self.match, answer)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, Any] | None] | None:
        """The route for a request and its path parameters; GET's for HEAD where there is none of its own."""
        found = self.match(method, path)
        if type(found) is not tuple and method == "HEAD":
            found = self.match("GET", path)
        return found if type(found) is tuple else None

    def on_threads(self, route: Route) -> bool:
        """Whether all of the pipeline is ``def`` for this route."""
        return not (route.is_async or self.async_hooks)

    # -- on a thread

    def answer_on_thread(self, call: Call) -> Answer:
        """``answer`` for a request that is on one of the server's threads."""
        return self.answer(call.target, DirectRequest(call))

    def answer(self, route: Route, request: PyreRequest) -> Answer:
        """Run a ``def`` handler, with ``def`` hooks around it. Does not raise."""
        began = time.perf_counter()
        answer = self.cors.preflight(request) if self.cors else None
        if answer is None:
            answer = self.before_answer(request)
        if answer is None:
            try:
                value = route.call(request)
                answer = render(self.app.wait(value) if inspect.isawaitable(value) else value)
            except BaseException as exc:
                answer = self.failure(exc, request)
            answer = self.after_answer(request, answer)
        return self.finish(request, answer, began)

    def before_answer(self, request: PyreRequest) -> Answer | None:
        """The answer of the first ``before_request`` hook that gives one."""
        try:
            for hook in self.before:
                value = hook(request)
                if value is not None:
                    if inspect.isawaitable(value):
                        value = self.app.wait(value)
                        if value is None:
                            continue
                    return render(value)
        except BaseException as exc:
            return self.failure(exc, request, "before_request hook error")
        return None

    def after_answer(self, request: PyreRequest, answer: Answer) -> Answer:
        for hook in self.after:
            try:
                response = as_response(answer)
                value = hook(request, response)
                if inspect.isawaitable(value):
                    value = self.app.wait(value)
                answer = render(response if value is None else value)
            except BaseException as exc:
                return self.failure(exc, request, "after_request hook error")
        return answer

    # -- on a loop

    async def answer_async(self, route: Route, request: PyreRequest, on_thread: OnThread) -> Answer:
        """The same for any handler and hooks; what is ``def`` of them runs by ``on_thread(function, ...)``."""
        if self.bare and route.is_async:
            try:
                return render(await route.call(request))
            except BaseException as exc:
                return self.failure(exc, request)
        if self.on_threads(route):
            done: Answer = await on_thread(self.answer, route, request)
            return done
        began = time.perf_counter()
        answer = self.cors.preflight(request) if self.cors else None
        if answer is None:
            answer = await self.before_answer_async(request, on_thread)
        if answer is None:
            try:
                value = route.call(request) if route.is_async else await on_thread(route.call, request)
                answer = render(await value if inspect.isawaitable(value) else value)
            except BaseException as exc:
                answer = self.failure(exc, request)
            answer = await self.after_answer_async(request, answer, on_thread)
        return self.finish(request, answer, began)

    async def before_answer_async(self, request: PyreRequest, on_thread: OnThread) -> Answer | None:
        if not self.async_hooks:
            return await on_thread(self.before_answer, request) if self.before else None
        try:
            for hook in self.before:
                value = await (hook(request) if is_async(hook) else on_thread(hook, request))
                if value is not None:
                    return render(value)
        except BaseException as exc:
            return self.failure(exc, request, "before_request hook error")
        return None

    async def after_answer_async(self, request: PyreRequest, answer: Answer, on_thread: OnThread) -> Answer:
        if not self.async_hooks:
            return await on_thread(self.after_answer, request, answer) if self.after else answer
        for hook in self.after:
            try:
                response = as_response(answer)
                value = await (hook(request, response) if is_async(hook) else on_thread(hook, request, response))
                answer = render(response if value is None else value)
            except BaseException as exc:
                return self.failure(exc, request, "after_request hook error")
        return answer

    # -- ends

    def finish(self, request: PyreRequest, answer: Answer, began: float) -> Answer:
        if self.cors:
            try:
                if not (request.method == "OPTIONS" and any(n == "access-control-allow-origin" for n, _ in answer.headers)):
                    answer = answer._replace(headers=self.cors.apply(request, answer.headers))
            except Exception as exc:  # headers that the transport lost
                answer = self.failure(exc, request)
        if self.log:
            self.log(request, answer, time.perf_counter() - began)
        return answer

    def failure(self, exc: BaseException, request: PyreRequest, what: str = "handler error") -> Answer:
        """The answer to an exception of the app's."""
        if isinstance(exc, SERVER_ERRORS):
            raise exc
        if isinstance(exc, InvalidValue):
            more: dict[str, Any] = {"in": exc.where, "parameter": exc.name}
            if exc.errors is not None:
                more["detail"] = exc.errors
            return error(422, exc.detail, **more)
        if isinstance(exc, ModelError):
            return Answer(422, [("content-type", TEXT_TYPE)], str(exc).encode())
        if isinstance(exc, HTTPException):
            try:
                return self.http_error(exc)
            except ValueError as wrong:
                exc = wrong
        if isinstance(exc, JSONError):
            logger.error("%s %s: the answer is no JSON: %s", request.method, request.path, exc)
            return error(500, f"json error: {exc}")
        if isinstance(exc, HeaderError):
            logger.error("%s %s: %s", request.method, request.path, exc)
            return error(500, "invalid response headers")
        logger.error("%s in %s %s", what, request.method, request.path, exc_info=exc)
        return error(500, f"{type(exc).__name__}: {exc}" if self.debug else what)

    def http_error(self, exc: HTTPException) -> Answer:
        headers = header_pairs(exc.headers)
        if isinstance(exc.detail, str):
            answer = error(exc.status_code, exc.detail)
        else:
            answer = Answer(exc.status_code, [("content-type", JSON_TYPE)], render({"error": exc.detail}).body)
        return answer._replace(headers=answer.headers + headers)
