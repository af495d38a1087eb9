"""A Starlette app of 103 routes, as many as a grown service has: what finding the last of them costs."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .hello import hello, hello_def, runtime

FILLERS = 99


async def item(request: Request) -> Response:
    return JSONResponse({"id": request.path_params["id"]})


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/def", hello_def),
        Route("/runtime", runtime),
        *(Route(f"/resource{number}/{{id}}", item) for number in range(FILLERS)),
        Route("/last/{id}", item),
    ]
)
