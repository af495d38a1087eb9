"""Dependencies: nested, cached, classes, instances, with yield; background tasks; what is injected."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Header, HTTPException, Query, Request, Response
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.background import BackgroundTask

from ..journal import note
from .both import Both

router = APIRouter()
both = Both(router)
current: contextvars.ContextVar[str] = contextvars.ContextVar("current", default="unset")


class Refused(Exception):
    """Handled by the app's own handler."""


def common(q: str | None = None, skip: int = 0, limit: Annotated[int, Query(le=100)] = 100) -> dict[str, Any]:
    return {"q": q, "skip": skip, "limit": limit}


async def common_async(q: str | None = None, skip: int = 0) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"q": q, "skip": skip}


Common = Annotated[dict[str, Any], Depends(common)]


class Pages:
    """Its instances are the values; as a parameter's type it needs no argument to Depends."""

    def __init__(self, page: int = 1, size: Annotated[int, Query(gt=0)] = 20) -> None:
        self.page = page
        self.size = size


class Checker:
    """Its instances are dependencies."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted

    def __call__(self, q: str = "") -> bool:
        return self.wanted in q


class AsyncChecker(Checker):
    async def __call__(self, q: str = "") -> bool:  # type: ignore[override]
        return self.wanted in q

    def method(self, q: str = "") -> int:
        return len(q)


def counted(request: Request) -> int:
    """How often it ran in this request."""
    request.state.calls = getattr(request.state, "calls", 0) + 1
    return int(request.state.calls)


def left(value: int = Depends(counted)) -> int:
    return value


def right(value: int = Depends(counted)) -> int:
    return value * 10


def verified(x_key: Annotated[str, Header()]) -> None:
    if x_key != "open":
        raise HTTPException(403, "closed", headers={"x-reason": "key"})


@both.get("/depends/common")
def depends_common(values: Common) -> Any:
    return values


@both.get("/depends/async")
def depends_async(values: dict[str, Any] = Depends(common_async)) -> Any:
    return values


@both.get("/depends/class")
def depends_class(pages: Annotated[Pages, Depends()]) -> Any:
    return {"page": pages.page, "size": pages.size}


@both.get("/depends/instance")
def depends_instance(
    has: Annotated[bool, Depends(Checker("a"))],
    has_async: Annotated[bool, Depends(AsyncChecker("b"))],
    length: Annotated[int, Depends(AsyncChecker("c").method)],
) -> Any:
    return [has, has_async, length]


@both.get("/depends/cached")
def depends_cached(
    a: Annotated[int, Depends(left)], b: Annotated[int, Depends(right)], c: Annotated[int, Depends(counted)]
) -> Any:
    return [a, b, c]


@both.get("/depends/uncached")
def depends_uncached(
    a: Annotated[int, Depends(left)],
    b: Annotated[int, Depends(counted, use_cache=False)],
    c: Annotated[int, Depends(counted, use_cache=False)],
    d: Annotated[int, Depends(counted)],
) -> Any:
    return [a, b, c, d]


@both.get("/depends/listed", dependencies=[Depends(verified), Depends(counted)])
def depends_listed(request: Request, c: Annotated[int, Depends(counted)]) -> Any:
    return [request.state.calls, c]


@both.get("/depends/errors/{number}")
def depends_errors(number: int, size: int, values: Common, pages: Annotated[Pages, Depends()]) -> Any:
    """Errors of dependencies come before the endpoint's own."""
    return "never with wrong values"


def deep(level: int) -> Any:
    """A dependency of ``level`` dependencies, each with a query parameter of its own."""
    if level == 0:
        return common

    def layer(below: Any = Depends(deep(level - 1)), n: int = Query(level, alias=f"n{level}")) -> Any:
        return {"n": n, "below": below}

    return layer


@both.get("/depends/deep")
def depends_deep(value: Annotated[Any, Depends(deep(5))]) -> Any:
    return value


def set_current(value: str = "given") -> Iterator[None]:
    token = current.set(value)
    try:
        yield
    finally:
        current.reset(token)


async def set_current_async(value: str = "given") -> AsyncIterator[str]:
    token = current.set(value)
    try:
        yield value
    finally:
        current.reset(token)


@both.get("/context/async", dependencies=[Depends(set_current_async)])
def context_async() -> Any:
    return current.get()


# Dependencies with yield note what they see in the journal, in order.


def opened(token: str) -> Iterator[str]:
    note(token, "open def")
    try:
        yield "def"
    except Exception as exc:
        note(token, f"def saw {type(exc).__name__}")
        raise
    finally:
        note(token, "close def")


async def opened_async(token: str, inner: str = Depends(opened)) -> AsyncIterator[str]:
    note(token, f"open async in {inner}")
    try:
        yield "async"
    except Exception as exc:
        note(token, f"async saw {type(exc).__name__}")
        raise
    finally:
        note(token, "close async")


async def opened_for_function(token: str) -> AsyncIterator[None]:
    note(token, "open function scope")
    try:
        yield
    finally:
        note(token, "close function scope")


def swallowing(token: str) -> Iterator[None]:
    try:
        yield
    except Refused:
        note(token, "swallowed")


def translating(token: str) -> Iterator[None]:
    try:
        yield
    except Refused as exc:
        note(token, "translated")
        raise HTTPException(418, "translated by a dependency") from exc


def failing_after(token: str) -> Iterator[None]:
    yield
    note(token, "fails after")
    raise RuntimeError("after the response")


def refusing_before(token: str) -> Iterator[None]:
    note(token, "refuses before")
    raise HTTPException(409, "before the endpoint")
    yield


Opened = Annotated[str, Depends(opened_async)]


@both.get("/yield/plain/{token}")
def yield_plain(token: str, value: Opened) -> Any:
    note(token, "endpoint")
    return value


@both.get("/yield/scoped/{token}", dependencies=[Depends(opened_for_function, scope="function")])
def yield_scoped(token: str, value: Opened, tasks: BackgroundTasks) -> Any:
    tasks.add_task(note, token, "task")
    note(token, "endpoint")
    return value


@both.get("/yield/tasks/{token}")
def yield_tasks(token: str, value: Opened, tasks: BackgroundTasks) -> Any:
    tasks.add_task(note, token, "task 1")
    tasks.add_task(note, token, line="task 2")
    return value


@both.get("/yield/stream/{token}")
def yield_stream(token: str, value: Opened) -> Any:
    def parts() -> Iterator[str]:
        for part in ("one ", "two ", value):
            note(token, f"part {part}")
            yield part

    return StreamingResponse(parts(), media_type="text/plain")


@both.get("/yield/http-exception/{token}")
def yield_http_exception(token: str, value: Opened) -> Any:
    raise HTTPException(404, {"missing": value}, headers={"x-error": "yes"})


@both.get("/yield/handled/{token}")
def yield_handled(token: str, value: Opened) -> Any:
    raise Refused("in the endpoint")


@both.get("/yield/unhandled/{token}")
def yield_unhandled(token: str, value: Opened) -> Any:
    raise RuntimeError("in the endpoint")


@both.get("/yield/swallowed/{token}", dependencies=[Depends(swallowing)])
def yield_swallowed(token: str) -> Any:
    raise Refused("in the endpoint")


@both.get("/yield/translated/{token}", dependencies=[Depends(translating)])
def yield_translated(token: str) -> Any:
    raise Refused("in the endpoint")


@both.get("/yield/fails-after/{token}", dependencies=[Depends(failing_after)])
def yield_fails_after(token: str) -> Any:
    return "answered"


@both.get("/yield/refused/{token}", dependencies=[Depends(opened), Depends(refusing_before)])
def yield_refused(token: str) -> Any:
    return "never"


@both.get("/yield/invalid/{token}")
def yield_invalid(token: str, value: Opened, number: int) -> Any:
    return number


@both.get("/yield/validation-of-response/{token}", response_model=int)
def yield_validation_of_response(token: str, value: Opened) -> Any:
    return "not a number"


# Background tasks.


async def note_async(token: str, line: str) -> None:
    await asyncio.sleep(0)
    note(token, line)


def adds_task(token: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(note, token, "of the dependency")
    return "added"


@both.get("/tasks/plain/{token}")
def tasks_plain(token: str, tasks: BackgroundTasks, added: Annotated[str, Depends(adds_task)]) -> Any:
    tasks.add_task(note_async, token, "async of the endpoint")
    tasks.add_task(note, token, "of the endpoint")
    return added


@both.get("/tasks/response/{token}")
def tasks_response(token: str, tasks: BackgroundTasks) -> Any:
    """A response with a task of its own keeps that one, as FastAPI has it."""
    tasks.add_task(note, token, "injected")
    return JSONResponse({"own": True}, background=BackgroundTask(note, token, "own"))


@both.get("/tasks/returned/{token}")
def tasks_returned(token: str, tasks: BackgroundTasks) -> Any:
    tasks.add_task(note, token, "injected")
    return JSONResponse({"own": False})


@both.get("/tasks/failing/{token}")
def tasks_failing(token: str, tasks: BackgroundTasks) -> Any:
    def fail() -> None:
        note(token, "fails")
        raise RuntimeError("in a background task")

    tasks.add_task(fail)
    tasks.add_task(note, token, "not reached")
    return "answered"


# What is injected.


def names_response(response: Response) -> None:
    response.headers["x-dependency"] = "set"
    response.set_cookie("dep", "1")
    response.status_code = 202


@both.get("/inject/request/{value}")
def inject_request(request: Request, value: int) -> Any:
    return {
        "path": request.url.path,
        "query": str(request.query_params),
        "params": request.path_params,
        "method": request.method,
        "route": request.scope["route"].path,
        "app": type(request.app).__name__,
        "url_for": str(request.url_for("inject_request", value=3).path),
        "header": request.headers.get("x-asked"),
        "cookies": request.cookies,
        "client": request.client.host if request.client else None,
    }


@both.get("/inject/connection")
def inject_connection(connection: HTTPConnection) -> Any:
    return [type(connection).__name__, connection.url.path]


@both.get("/inject/response")
def inject_response(response: Response) -> Any:
    response.headers["x-endpoint"] = "set"
    response.set_cookie("a", "1", httponly=True)
    response.set_cookie("b", "2")
    response.status_code = 201
    return {"set": True}


@both.get("/inject/response-dependency", dependencies=[Depends(names_response)])
def inject_response_dependency(response: Response) -> Any:
    response.headers["x-endpoint"] = "set"
    return {"set": True}


@both.get("/inject/response-replaced", dependencies=[Depends(names_response)])
def inject_response_replaced() -> Any:
    """A response of the endpoint's own is sent without what was set on the injected one."""
    return JSONResponse({"own": True}, 203)


@router.post("/async/inject/body")
async def inject_body(request: Request) -> Any:
    chunks = [chunk async for chunk in request.stream()]
    return {"length": sum(map(len, chunks))}


@router.get("/async/inject/state")
async def inject_state(request: Request) -> Any:
    return {"state": request.state.started, "disconnected": await request.is_disconnected()}
