"""The app over ASGI 3, for any server and for mounting: everything but the way around the loop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import anyio

from freelane.adapters.compat.starlette_private import get_route_path
from freelane.adapters.pyre import websockets
from freelane.adapters.pyre.exceptions import NotFound
from freelane.adapters.pyre.lifespan import run_lifespan
from freelane.adapters.pyre.metrics import counters
from freelane.adapters.pyre.requests import ASGIRequest
from freelane.adapters.pyre.responses import Answer, error
from freelane.adapters.pyre.routes import Route
from freelane.adapters.pyre.streams import Channel
from freelane.adapters.pyre.threads import Overloaded, on_thread
from freelane.fastcore.routing.router import Router

if TYPE_CHECKING:
    from freelane.adapters.pyre.app import Pyre

logger = logging.getLogger("freelane.pyre")

TOO_LARGE = error(413, "payload too large")
TIMED_OUT = error(504, "request timeout")
OVERLOADED = error(503, "server overloaded", [("retry-after", "1")])


def not_found(request: Any) -> Any:
    raise NotFound("not found")


# Stands for a route where there is none, so that hooks and CORS run all the same.
UNMATCHED = Route("*", "/{*path}", not_found)


async def handle(app: Pyre, scope: Any, receive: Any, send: Any) -> None:
    kind = scope["type"]
    if kind == "http":
        await serve_http(app, scope, receive, send)
    elif kind == "websocket":
        await serve_websocket(app, scope, receive, send)
    elif kind == "lifespan":
        await run_lifespan(app, scope, receive, send)
    else:
        raise RuntimeError(f"unknown ASGI scope type '{kind}'")


async def serve_http(app: Pyre, scope: Any, receive: Any, send: Any) -> None:
    pipeline = app.pipeline
    method, path = scope["method"], get_route_path(scope) or "/"
    found = pipeline.find(method, path)
    counters.slot().requests += 1
    if found is None:
        if method in ("GET", "HEAD"):
            for directory in app.static_directories:
                response = await directory.response(scope, path)
                if response is not None:
                    await response(scope, receive, with_cors(app, scope, path, send))
                    return
        if not is_preflight_of_ours(pipeline, scope, path):
            for mount in app.mounts:
                if mount.matches(path):
                    await mount(scope, receive, send)
                    return
        found = pipeline.fallback or UNMATCHED, None
    route, params = found
    if (run := route.elsewhere()) is not None:
        await run(scope, receive, send)
        return
    try:
        body = await read_body(scope, receive, app.max_body_size)
    except ClientGone:
        return
    request = ASGIRequest(scope, path, b"" if body is None else body, params)
    if body is None:
        answer = TOO_LARGE
        if app.cors:
            answer = answer._replace(headers=app.cors.apply(request, answer.headers))
    else:
        answer = await bounded(app, pipeline, route, request)
    await send_answer(answer, scope, receive, send)


def is_preflight_of_ours(pipeline: Any, scope: Any, path: str) -> bool:
    if scope["method"] != "OPTIONS" or not pipeline.cors:
        return False
    for name, value in scope["headers"]:
        if name == b"access-control-request-method":
            return pipeline.find(value.decode("latin-1"), path) is not None
    return False


async def bounded(app: Pyre, pipeline: Any, route: Route, request: Any) -> Answer:
    """The answer, within the app's time limit."""
    runner = app.gil_thread.run if route.gil and not route.is_async else on_thread
    task = asyncio.ensure_future(pipeline.answer_async(route, request, runner))
    try:
        done, _ = await asyncio.wait({task}, timeout=app.timeout)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        try:
            return task.result()  # type: ignore[no-any-return]
        except Overloaded:
            counters.drop()
            answer = OVERLOADED
    else:
        # A thread cannot be stopped: what it still does is dropped.
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        task.cancel()
        counters.drop()
        answer = TIMED_OUT
    return answer._replace(headers=app.cors.apply(request, answer.headers)) if app.cors else answer


class ClientGone(Exception):
    pass


async def read_body(scope: Any, receive: Any, limit: int) -> bytes | None:
    """The request's body; None for more than ``limit`` bytes. Raises ClientGone."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            return None
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        if chunk:
            size += len(chunk)
            if size > limit:
                return None
            chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def send_answer(answer: Answer, scope: Any, receive: Any, send: Any) -> None:
    status, pairs, body = answer
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in pairs]
    if isinstance(body, Channel):
        await send_stream(body, status, headers, scope["method"] == "HEAD", receive, send)
        return
    if status < 200 or status in (204, 304):
        body = b""
    else:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_stream(
    channel: Channel, status: int, headers: list[tuple[bytes, bytes]], head: bool, receive: Any, send: Any
) -> None:
    """Send a channel's chunks as the client takes them, until it ends or the client goes away."""
    try:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if head:
            await send({"type": "http.response.body", "body": b""})
            return
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                channel.close(gone=True)
                group.cancel_scope.cancel()

            group.start_soon(watch)
            async for chunk in channel:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if not channel.gone:
                await send({"type": "http.response.body", "body": b""})
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await channel.finish()


def with_cors(app: Pyre, scope: Any, path: str, send: Any) -> Any:
    cors = app.cors
    if cors is None:
        return send

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            extra = cors.apply(ASGIRequest(scope, path, b"", None), [])
            message["headers"] = [*message["headers"], *[(n.encode(), v.encode("latin-1")) for n, v in extra]]
        await send(message)

    return sending


async def serve_websocket(app: Pyre, scope: Any, receive: Any, send: Any) -> None:
    path = get_route_path(scope) or "/"
    if app.websocket_table is None:
        router = Router("specific")
        for route in app.websockets.values():
            router.add(route.path, None, route)
        app.websocket_table = router.publish().match
    found = app.websocket_table("GET", path)
    if type(found) is not tuple:
        for mount in app.mounts:
            if mount.matches(path):
                await mount(scope, receive, send)
                return
        await refuse(404, b"no websocket handler", scope, receive, send)
        return
    route, params = found
    if (run := route.elsewhere()) is not None:
        await run(scope, receive, send)
        return
    await receive()  # websocket.connect
    request = ASGIRequest({**scope, "method": "GET"}, path, b"", params)
    if not origin_allowed(app, route, request):
        await deny(Answer(403, [("content-type", "text/plain; charset=utf-8")], b"origin not allowed"), scope, send)
        return
    answer = await app.pipeline.before_answer_async(request, on_thread)
    if answer is not None:
        await deny(answer, scope, send)
        return
    await websockets.serve(route.handler, request, receive, send)


def origin_allowed(app: Pyre, route: Any, request: Any) -> bool:
    """Whether the page that connects may (RFC 6455, 10.2); clients that are no browsers send no Origin."""
    origin = request.headers.get("origin")
    if origin is None:
        return True
    if route.origins is not None:
        return "*" in route.origins or origin in route.origins
    return app.cors is None or app.cors.allows(origin)


async def refuse(status: int, body: bytes, scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await deny(Answer(status, [("content-type", "text/plain; charset=utf-8")], body), scope, send)


async def deny(answer: Answer, scope: Any, send: Any) -> None:
    """Answer the handshake with a response, where the server can; else with its plain 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}) or isinstance(answer.body, Channel):
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in answer.headers]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})
