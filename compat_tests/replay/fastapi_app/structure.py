"""Routers, sub-apps, route classes, sockets, and requests that no endpoint answers."""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response, WebSocket, WebSocketException
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException

from ..journal import note
from .bodies import Item
from .both import Both
from .dependencies import Opened, Refused, common, verified
from .responses import STATIC

router = APIRouter()
both = Both(router)


class Stamped(APIRoute):
    """A route class of the app's own: one header more, and bodies in upper case."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        original = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                response = await original(request)
            except RequestValidationError as exc:
                return JSONResponse({"stamped": len(exc.errors())}, 400)
            response.headers["x-stamped"] = type(self).__name__
            return response

        return handler


@both.get("/items/first")
def first() -> Any:
    return "literal"


@both.get("/items/{name}")
def second(name: str) -> Any:
    return {"name": name}


@both.get("/items/last")
def unreachable() -> Any:
    return "never: registered later than what matches it too"


@both.add("/methods", "GET", "PUT", "DELETE")
def methods(request: Request) -> Any:
    return request.method


@both.add("/methods/head", "HEAD")
def head_only(response: Response) -> None:
    response.headers["x-head"] = "own"


@both.add("/methods/options", "OPTIONS")
def options_only() -> Any:
    return {"allow": "all"}


@both.post("/methods/split")
def split_post() -> Any:
    return "post"


@both.get("/methods/split")
def split_get() -> Any:
    return "get"


@both.get("/slash/")
def slash() -> Any:
    return "with slash"


@both.get("/noslash")
def noslash() -> Any:
    return "without slash"


@both.get("/slow")
def slow() -> Any:
    time.sleep(0.02)
    return "slow"


stamped = APIRouter(prefix="/stamped", route_class=Stamped)


@Both(stamped).get("/{number}")
def stamped_number(number: int) -> Any:
    return number


inner = APIRouter(prefix="/inner", dependencies=[Depends(verified)], tags=["inner"])


@Both(inner).get("/value")
def inner_value(values: Annotated[dict[str, Any], Depends(common)]) -> Any:
    return values


@Both(inner).get("")
def inner_empty() -> Any:
    return "empty path"


def outer_query(outer: Annotated[int, Query()]) -> int:
    return outer


outer = APIRouter(prefix="/outer/{tenant}", dependencies=[Depends(outer_query)], default_response_class=PlainTextResponse)


@Both(outer).get("/text")
def outer_text(tenant: str) -> Any:
    return f"tenant {tenant}"


outer.include_router(inner)
router.include_router(stamped)
router.include_router(outer, prefix="/nested", responses={418: {"description": "teapot"}})
router.include_router(inner, prefix="/again", dependencies=[Depends(common)])


async def refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"refused": str(error)}, 409, headers={"x-handler": "refused"})


def refused_def(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"by a def: {error}", 410)


async def invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if request.query_params.get("again"):
        return PlainTextResponse(b"again " + await request.body(), 400)
    if request.query_params.get("default"):
        return await request_validation_exception_handler(request, error)
    return JSONResponse({"errors": [list(item["loc"]) for item in error.errors()], "body": repr(error.body)}, 400)


async def raised(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    response = await http_exception_handler(request, error)
    response.headers["x-sub-handler"] = str(error.status_code)
    return response


async def server_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"crashed": str(error)}, 500)


class Counted(Exception):
    pass


async def timed(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    request.state.timed = "yes"
    response = await call_next(request)
    response.headers["x-timed"] = request.state.timed
    return response


sub = FastAPI(
    title="Sub",
    root_path_in_servers=True,
    exception_handlers={
        RequestValidationError: invalid,
        StarletteHTTPException: raised,
        Counted: refused_def,  # type: ignore[dict-item]
        Exception: server_error,
    },
)
sub.middleware("http")(timed)
both_sub = Both(sub)


@both_sub.get("/value/{number}")
def sub_value(number: int, request: Request) -> Any:
    return {"number": number, "root_path": request.scope["root_path"], "state": request.state.timed}


@both_sub.post("/item")
def sub_item(item: Item) -> Any:
    return item.name


@both_sub.post("/count")
def sub_count(item: Item, request: Request) -> Any:
    raise Counted(item.name)


@both_sub.get("/raise/{kind}")
def sub_raise(kind: str) -> Any:
    if kind == "counted":
        raise Counted("one")
    if kind == "http":
        raise HTTPException(402, "pay", headers={"x-pay": "1"})
    raise RuntimeError(kind)


frontend = FastAPI(openapi_url=None)
frontend.get("/api/value")(lambda: {"api": True})
frontend.frontend("/", directory=STATIC)

plain = FastAPI(docs_url=None, redoc_url="/documents", openapi_url="/schema.json", redirect_slashes=False)


@plain.get("/noslash")
def plain_noslash() -> Any:
    return "here"


async def websocket_token(websocket: WebSocket, token: Annotated[str | None, Query()] = None) -> str:
    if token is None:
        raise WebSocketException(1008, "no token")
    return token


@router.websocket("/ws/{room}")
async def chat(
    websocket: WebSocket,
    room: int,
    token: Annotated[str, Depends(websocket_token)],
    x_name: Annotated[str, Header()] = "nobody",
) -> None:
    await websocket.accept()
    await websocket.send_json([room, token, x_name])
    await websocket.send_text(await websocket.receive_text())
    await websocket.close(1000)


@router.websocket("/ws/yield/{token}")
async def socket_yield(websocket: WebSocket, token: str, value: Opened) -> None:
    await websocket.accept()
    note(token, "socket")
    await websocket.send_text(value)
    await websocket.close()


@router.websocket("/ws/refused/{token}")
async def socket_refused(websocket: WebSocket, token: str) -> None:
    raise Refused("before accept")


def mount(app: FastAPI) -> None:
    """What is mounted rather than included, in the order that matters."""
    app.mount("/sub", sub)
    app.mount("/plain", plain)
    app.mount("/web", frontend)
    app.mount("/static", StaticFiles(directory=STATIC, html=True))
