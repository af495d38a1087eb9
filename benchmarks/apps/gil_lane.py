"""A light endpoint, the same in the gil lane, a body both ways, and heavy numpy work."""

from __future__ import annotations

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

try:
    from freelane import gil
except ImportError:  # under uvicorn, in an environment without freelane

    def gil(endpoint):  # type: ignore[no-untyped-def,misc]
        return endpoint


async def light(request: Request) -> Response:
    return JSONResponse({"hello": "world"})


@gil
async def lane(request: Request) -> Response:
    return JSONResponse({"hello": "world"})


async def echo(request: Request) -> Response:
    return Response(await request.body())


@gil
async def lane_echo(request: Request) -> Response:
    return Response(await request.body())


MATRIX = np.random.default_rng(1).random((120, 120))


@gil
def heavy(request: Request) -> Response:
    # Some 20 ms, much of it in calls too small to let go of the GIL for long.
    total = 0.0
    for shift in range(60):
        values = np.roll(MATRIX, shift, axis=0)
        total += float(np.sort(values.ravel()).sum() + sum(row.max() for row in values))
    return JSONResponse(total)


app = Starlette(
    routes=[
        Route("/", light),
        Route("/lane", lane),
        Route("/echo", echo, methods=["POST"]),
        Route("/lane-echo", lane_echo, methods=["POST"]),
        Route("/heavy", heavy),
    ]
)
