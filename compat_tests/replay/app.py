"""The replayed app: ordinary Starlette, plain as ``app`` and under a full middleware stack as ``stacked``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import endpoints, sockets


class Tag:
    """Pure ASGI middleware: adds one header to what passes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-tag", b"asgi")]
            await send(message)

        await self.app(scope, receive, tagged)


class Based(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        if request.headers.get("x-stop"):
            return PlainTextResponse("stopped by middleware", 403)
        request.state.based = "seen"
        response = await call_next(request)
        response.headers["x-based"] = request.state.based
        return response


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    yield {"started": "by the lifespan", "shared": {"kind": "lifespan state"}}


async def lookup_failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"handled": str(error)}, 422, headers={"x-handler": "app"})


async def host_endpoint(request: Request) -> Response:
    return PlainTextResponse(f"host {request.path_params['name']}")


SESSION = Middleware(SessionMiddleware, secret_key="replay", max_age=None)
CORS = Middleware(
    CORSMiddleware, allow_origins=["https://example.test"], allow_methods=["GET", "POST"], allow_headers=["x-asked"]
)
GZIP = Middleware(GZipMiddleware, minimum_size=500)
TRUSTED = Middleware(TrustedHostMiddleware, allowed_hosts=["testserver", "*.testserver"])

compressed = Route("/text", endpoints.compressible)
streamed = Route("/stream", endpoints.stream_async)
session_routes: list[BaseRoute] = [
    Route("/set", endpoints.session_set),
    Route("/get", endpoints.session_get),
]
mounted: list[BaseRoute] = [
    Route("/url", endpoints.url),
    Route("/scope", endpoints.scope_values),
    Route("/path/{rest:path}", endpoints.path_echo),
    Route("/def", endpoints.sync_text),
]


def routes() -> list[BaseRoute]:
    return [
        *endpoints.routes,
        *sockets.routes,
        Mount("/static", StaticFiles(directory=endpoints.STATIC, html=True)),
        Mount("/mounted", routes=mounted),
        Mount("/param/{tenant}", routes=mounted),
        Mount("/app", Starlette(routes=mounted)),
        Mount("/session", routes=session_routes, middleware=[SESSION]),
        Mount("/gzip", routes=[compressed, streamed], middleware=[GZIP]),
        Mount("/cors", routes=[Route("/text", endpoints.text)], middleware=[CORS]),
        Mount("/trusted", routes=[Route("/text", endpoints.text)], middleware=[TRUSTED]),
        Mount("/tag", routes=[Route("/text", endpoints.text), streamed], middleware=[Middleware(Tag)]),
        Mount(
            "/based",
            routes=[
                Route("/text", endpoints.text),
                streamed,
                Route("/error", endpoints.error),
                Route("/body", endpoints.body, methods=["POST"]),
            ],
            middleware=[Middleware(Based)],
        ),
        Host("{name}.hosts.test", Router([Route("/host", host_endpoint)])),
    ]


handlers = {LookupError: lookup_failed}
app = Starlette(routes=routes(), lifespan=lifespan, exception_handlers=handlers)
stacked = Starlette(
    routes=routes(),
    lifespan=lifespan,
    exception_handlers=handlers,
    middleware=[
        Middleware(Tag),
        Middleware(TrustedHostMiddleware, allowed_hosts=["testserver", "*.hosts.test", "127.0.0.1"]),
        CORS,
        Middleware(SessionMiddleware, secret_key="stacked"),
        GZIP,
        Middleware(Based),
    ],
)
