"""The whole app, plain as ``app`` and under a stack of middleware as ``stacked``."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import PlainTextResponse

from ..app import Tag
from . import bodies, dependencies, parameters, responses, security, structure


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    yield {"started": "by the lifespan"}


async def based(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    if request.headers.get("x-stop"):
        return PlainTextResponse("stopped by middleware", 403)
    response = await call_next(request)
    response.headers["x-based"] = "seen"
    return response


def make(**options: Any) -> FastAPI:
    made = FastAPI(title="Replayed", version="1.2.3", lifespan=lifespan, **options)
    made.add_exception_handler(dependencies.Refused, structure.refused)
    made.get("/")(lambda: {"root": True})
    for module in (parameters, bodies, dependencies, security, responses, structure):
        made.include_router(module.router)
    made.include_router(bodies.loose)
    structure.mount(made)
    return made


def marks(response: Response) -> None:
    """A dependency of the whole app."""
    response.headers["x-app"] = "depends"


app = make()
stacked = make(dependencies=[Depends(marks)])
stacked.middleware("http")(based)
stacked.add_middleware(GZipMiddleware, minimum_size=1000)
stacked.add_middleware(
    CORSMiddleware, allow_origins=["https://example.test"], allow_methods=["GET", "POST"], allow_credentials=True
)
stacked.add_middleware(TrustedHostMiddleware, allowed_hosts=["testserver", "127.0.0.1"])
stacked.add_middleware(Tag)
