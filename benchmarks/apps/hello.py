"""The smallest app with one endpoint of each kind: no middleware, so the server is what is measured."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

# About 400 µs of pure Python on a 2.4 GHz server core.
COMPUTE_STEPS = 2_400
CHUNK = b"x" * 1024
CHUNKS = 10


async def hello(request: Request) -> Response:
    return JSONResponse({"hello": "world"})


def hello_def(request: Request) -> Response:
    return JSONResponse({"hello": "world"})


def compute(request: Request) -> Response:
    total = 0
    for i in range(COMPUTE_STEPS):
        total = (total * 31 + i) % 1_000_003
    return PlainTextResponse(str(total))


async def echo(request: Request) -> Response:
    return JSONResponse(await request.json())


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(CHUNKS):
        yield CHUNK


async def stream(request: Request) -> Response:
    return StreamingResponse(chunks(), media_type="application/octet-stream")


async def runtime(request: Request) -> Response:
    """Says what serves it, so that a report states the GIL as it is after the app was loaded."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return JSONResponse({"python": sys.version, "gil": gil})


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/def", hello_def),
        Route("/compute", compute),
        Route("/echo", echo, methods=["POST"]),
        Route("/stream", stream),
        Route("/runtime", runtime),
    ]
)
