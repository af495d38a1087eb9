"""Starlette's BaseHTTPMiddleware without its task group and its streams, where a whole response comes of what is inside.

``dispatch(request, call_next)`` runs in the request's task as ever, and what ``call_next`` calls in
a task of its own, which is started at once: where that waits for nothing, the response is there
when ``call_next`` looks. Streams are made only for what is more than one whole response.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import copy_context
from functools import partial
from inspect import signature
from typing import Any

import anyio
import anyio.lowlevel

from freelane.adapters.compat.starlette_private import CachedRequest, StreamingResponse
from freelane.adapters.starlette.answers import is_plain
from freelane.adapters.starlette.plan import ASGIApp
from freelane.adapters.starlette.sections import Node, Rest, Whole

# Newer releases of Starlette give the request a `send`.
WITH_SEND = "send" in signature(CachedRequest.__init__).parameters

OWN_SEND = StreamingResponse.__call__


class Inner:
    """What is inside a BaseHTTPMiddleware, once for each call of its ``call_next``, in a task of its own.

    A whole response is there when the task has taken its first step, as a rule, and then nothing
    was waited for. ``closed``: the streams are those that an exception came through before.
    """

    __slots__ = ("call", "cancelled", "closed", "error", "found", "go", "over", "read", "receiver", "sender", "sent", "task",
                 "told", "waiter")  # fmt: skip

    def __init__(self, call: Call, closed: bool) -> None:
        self.call = call
        self.closed = closed
        self.found: Whole | None = None
        self.sender: Any = None
        self.receiver: Any = None
        self.sent: Any = None
        self.cancelled: Any = None
        self.error: Exception | None = None
        # Whether there is a response, or none will come; the host waits for that, with `waiter`.
        self.told = False
        self.waiter: Any = None
        self.go: Any = None
        # Whether the host has sent a response already.
        self.over = False
        # Whether the body of the response was read to its end.
        self.read = False
        loop = asyncio.get_running_loop()
        self.task = asyncio.Task(self.run(), loop=loop, eager_start=True, context=copy_context())

    async def run(self) -> BaseException | None:
        call = self.call
        try:
            found = await call.inside()
            if type(found) is Rest:
                await self.stream(found.app)
                return None
            assert type(found) is Whole
            self.found = found
            self.tell()
            if found.end is None:
                return None
            if not self.over:
                self.go = asyncio.get_running_loop().create_future()
                try:
                    await self.go
                except asyncio.CancelledError as exc:  # who waits behind a response that is not sent
                    await found.end(exc)
                    raise
            return await found.end(None)
        except Exception as exc:
            self.error = exc
            return None
        finally:
            self.tell()

    def tell(self) -> None:
        self.told = True
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def stream(self, app: ASGIApp) -> None:
        """Run an app that may send anything, message by message."""
        self.sender, self.receiver = anyio.create_memory_object_stream[Any]()
        self.sent = anyio.Event()
        if self.closed:
            self.sender.close()
        if self.over:
            self.sent.set()
            self.receiver.close()
        self.cancelled = anyio.CancelScope()
        self.tell()
        with self.cancelled, self.sender:
            try:
                await app(self.call.scope, self.receive, self.send)
            except Exception as exc:
                self.error = exc

    async def receive(self) -> Any:
        if self.sent.is_set():
            return {"type": "http.disconnect"}
        async with anyio.create_task_group() as group:

            async def first(function: Callable[[], Awaitable[Any]]) -> Any:
                result = await function()
                group.cancel_scope.cancel()
                return result

            group.start_soon(first, self.sent.wait)
            message = await first(self.call.request.wrapped_receive)
        return {"type": "http.disconnect"} if self.sent.is_set() else message

    async def send(self, message: Any) -> None:
        try:
            await self.sender.send(message)
        except anyio.BrokenResourceError:
            return  # the response was sent without the rest of this one
        kind = message["type"]
        if kind == "http.response.pathsend" or kind == "http.response.body" and not message.get("more_body", False):
            await self.sent.wait()

    async def until_told(self) -> None:
        self.waiter = asyncio.get_running_loop().create_future()
        await self.waiter

    async def response(self) -> Any:
        """The response as ``call_next`` returns it, of what is streamed. Raises what came instead of one."""
        info = None
        try:
            while self.receiver is not None:
                message = await self.receiver.receive()
                if message["type"] == "http.response.debug":
                    info = message["info"]
                elif message["type"] == "http.response.early_hint":
                    await self.call.send(message)
                else:
                    assert message["type"] == "http.response.start"
                    response = StreamingResponse(status_code=message["status"], content=self.body(), info=info)
                    response.raw_headers = message.get("headers", [])
                    return response
            raise anyio.EndOfStream  # as of the stream that was not needed: it shows in the context
        except anyio.EndOfStream:
            if self.error is None:
                raise RuntimeError("No response returned.")  # noqa: B904
            error, self.error, self.call.closed = self.error, None, True
            raise error from error.__cause__ or error.__context__

    async def body(self) -> AsyncGenerator[Any]:
        async for message in self.receiver:
            if message["type"] == "http.response.pathsend":
                yield message
                break
            assert message["type"] == "http.response.body", f"Unexpected message: {message}"
            if body := message.get("body", b""):
                yield body
            if not message.get("more_body", False):
                break
        self.read = True

    async def end(self) -> BaseException | None:
        """Wait for the end of what is inside, once a response was sent; the exception that is left of it."""
        self.over = True
        if self.receiver is not None:
            self.sent.set()
            self.receiver.close()
        elif self.go is not None and not self.go.done():
            self.go.set_result(None)
        if not self.task.done():
            try:
                await asyncio.wait([self.task])
            except asyncio.CancelledError:
                await self.abandon()
                raise
        return self.error or (None if self.task.cancelled() else self.task.result())

    async def abandon(self) -> None:
        """Cancel what is inside, and wait until it has ended."""
        self.over = True
        if self.receiver is not None:
            self.receiver.close()
        if self.task.done():
            return
        if self.cancelled is not None:
            self.cancelled.cancel()
        else:
            self.task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([self.task])


class Call:
    """One request's way through a BaseHTTPMiddleware; ``next`` is its ``call_next``."""

    __slots__ = (
        "answer", "behind", "body", "closed", "iterator", "layer", "method", "params", "path", "read", "request",
        "root_path", "scope", "send", "sent",
    )  # fmt: skip

    def __init__(self, layer: Dispatch, scope: Any, receive: Any, send: Any, params: Any) -> None:
        self.layer = layer
        self.scope = scope
        self.send = send
        self.params = params
        make: Any = CachedRequest
        self.request = make(scope, receive, send) if WITH_SEND else make(scope, receive)
        self.path, self.method, self.root_path = scope["path"], scope["method"], scope["root_path"]
        self.sent = self.read = False
        # What is inside, once for each call of ``next``.
        self.behind: list[Inner] = []
        # Whether an exception came out of it.
        self.closed = False
        self.answer: Any = None
        self.iterator: Any = None
        self.body = b""

    async def receive(self) -> Any:
        if self.sent:
            return {"type": "http.disconnect"}
        # As with Starlette's task group, a look that does not wait (`is_disconnected`) sees nothing from in here.
        await anyio.lowlevel.checkpoint_if_cancelled()
        message = await self.request.wrapped_receive()
        return {"type": "http.disconnect"} if self.sent else message

    async def inside(self) -> Whole | Rest:
        scope, layer = self.scope, self.layer
        if scope["path"] != self.path or scope["method"] != self.method or scope["root_path"] != self.root_path:
            return Rest(layer.itself)  # which routes again
        return await layer.inside(scope, self.receive, self.send, self.params)

    async def next(self, request: Any) -> Any:
        """The response of what is inside. Raises what that raised."""
        # Whether the body of the response before is in its way.
        blocked = bool(self.behind) and not (self.closed or self.was_read())
        inner = Inner(self, self.closed)
        self.behind.append(inner)
        if blocked:
            raise AssertionError
        if not inner.told:
            await inner.until_told()
        found = inner.found
        if found is None:
            return await inner.response()
        if self.closed:
            raise anyio.ClosedResourceError
        self.read = False
        made: Any = StreamingResponse.__new__(StreamingResponse)
        made.info = made.media_type = made.background = None
        made.status_code = found.status
        made.raw_headers = found.headers
        made.body_iterator = self.iterator = self.chunks(found.body)
        self.answer, self.body = made, found.body
        return made

    def was_read(self) -> bool:
        """Whether nothing is left to read of the latest response."""
        latest = self.behind[-1]
        return latest.read if latest.found is None else self.iterator.ag_frame is None

    async def chunks(self, body: bytes) -> AsyncGenerator[bytes]:
        self.read = True
        if body:
            yield body

    def is_untouched(self, response: Any) -> bool:
        """Whether ``response`` sends what was inside, in one piece."""
        return (
            response is not None
            and response is self.answer
            and response.body_iterator is self.iterator
            and not self.read
            and self.iterator.ag_frame is not None
            and response.background is None
            and response.info is None
            and type(response).__call__ is OWN_SEND
        )

    async def respond(self, response: Any, scope: Any, receive: Any, send: Any) -> None:
        """Send what ``dispatch`` returned, through the layers around."""
        try:
            await response(scope, self.request.wrapped_receive, send)
        except BaseException as exc:
            await self.end(exc)
            raise
        if (left := await self.end(None)) is not None:
            raise left

    async def end(self, error: BaseException | None) -> BaseException | None:
        """Finish what is inside, after the response was sent or failed with ``error``; the exception that is left."""
        self.sent = True
        left = error
        for inner in self.behind:
            if error is not None:
                await inner.abandon()
            elif inner.found is None or inner.found.end is not None:
                left = await inner.end() or left
        # They refer to each other.
        self.behind.clear()
        self.answer = self.iterator = None
        return left


class Dispatch:
    """One BaseHTTPMiddleware around ``inside``; ``itself`` is what the app itself has inside it."""

    def __init__(self, layer: Any, inside: Node) -> None:
        self.dispatch = layer.dispatch_func
        self.inside = inside
        self.itself = layer.app

    async def __call__(self, scope: Any, receive: Any, send: Any, params: Any) -> Whole | Rest:
        call = Call(self, scope, receive, send, params)
        try:
            response = await self.dispatch(call.request, call.next)
        except BaseException as exc:
            await call.end(exc)
            if not isinstance(exc, Exception):
                raise
            return Rest(partial(fail, exc))
        again = partial(call.respond, response)
        if call.is_untouched(response):
            return Whole(response.status_code, response.raw_headers, call.body, again, call.end, True)
        if is_plain(response):
            return Whole(response.status_code, response.raw_headers, response.body, again, call.end)
        return Rest(again)


async def fail(error: BaseException, scope: Any, receive: Any, send: Any) -> None:
    raise error
