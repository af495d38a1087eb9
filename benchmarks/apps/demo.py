"""The demo app: an ordinary Starlette app that knows nothing of the server it runs under."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

# About 1 to 2 ms of pure Python on a 2.4 GHz server core.
COMPUTE_LIMIT = 1_500


class AddHeader:
    """Adds one header to each HTTP response: the smallest useful middleware."""

    def __init__(self, app: ASGIApp, name: str, value: str) -> None:
        self.app = app
        self.header = (name.lower().encode("latin-1"), value.encode("latin-1"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), self.header]
            await send(message)

        await self.app(scope, receive, send_with_header)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    yield {"greeting": "hello from the lifespan", "started": time.time()}


async def hello(request: Request) -> Response:
    return JSONResponse({"hello": "world"})


def hello_def(request: Request) -> Response:
    return JSONResponse({"hello": "world"})


async def item(request: Request) -> Response:
    number: int = request.path_params["number"]
    return JSONResponse({"item": number, "twice": number * 2})


def compute(request: Request) -> Response:
    """Counts primes by trial division: work that holds a GIL from start to end."""
    primes = 0
    for n in range(2, COMPUTE_LIMIT):
        for d in range(2, int(n**0.5) + 1):
            if n % d == 0:
                break
        else:
            primes += 1
    return JSONResponse({"primes": primes, "below": COMPUTE_LIMIT})


async def lines() -> AsyncIterator[str]:
    for i in range(5):
        yield f"line {i}\n"


async def stream(request: Request) -> Response:
    return StreamingResponse(lines(), media_type="text/plain")


async def echo(request: Request) -> Response:
    return JSONResponse({"you sent": await request.json()})


async def state(request: Request) -> Response:
    return PlainTextResponse(request.state.greeting)


async def runtime(request: Request) -> Response:
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return JSONResponse({"python": sys.version, "gil": gil})


async def websocket_echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/def", hello_def),
        Route("/items/{number:int}", item),
        Route("/compute", compute),
        Route("/stream", stream),
        Route("/echo", echo, methods=["POST"]),
        Route("/state", state),
        Route("/runtime", runtime),
        WebSocketRoute("/ws", websocket_echo),
    ],
    middleware=[
        Middleware(GZipMiddleware, minimum_size=1_000),
        Middleware(AddHeader, name="x-demo", value="ordinary middleware"),
    ],
    lifespan=lifespan,
)
