"""A FastAPI app that tells of anything that passes from one request to another.

Every request carries a token, and every endpoint answers with what it saw of it in parameters,
context variables, dependencies and state. ``/ledger`` tells what was opened and not closed, and
which background tasks have not run.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Annotated, Any

from fastapi import BackgroundTasks, Body, Cookie, Depends, FastAPI, Form, Header, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

app = FastAPI()
current: ContextVar[str] = ContextVar("current", default="unset")
lock = threading.Lock()
ledger: Counter[str] = Counter()


def count(name: str, by: int = 1) -> None:
    with lock:
        ledger[name] += by


class Item(BaseModel):
    token: str
    values: list[int] = Field(max_length=50)
    inner: dict[str, int] = {}


class Refused(Exception):
    pass


@app.exception_handler(Refused)
async def refused(request: Request, error: Refused) -> Response:
    return Response(f"refused {error} {current.get()}", 409)


def clean() -> str:
    """What this request's context holds before the request wrote to it."""
    return current.get()


def opened(token: str, found: Annotated[str, Depends(clean)]) -> Iterator[str]:
    count("open def")
    current.set(token)
    try:
        yield f"{found} {token}"
    finally:
        count("open def", -1)


async def opened_async(token: str, below: Annotated[str, Depends(opened)]) -> AsyncIterator[str]:
    count("open async")
    found = current.get()
    current.set(token)
    await asyncio.sleep(random.random() / 500)
    try:
        yield f"{found} {below} {current.get()}"
    finally:
        count("open async", -1)


def counted(request: Request) -> int:
    request.state.calls = getattr(request.state, "calls", 0) + 1
    return int(request.state.calls)


Opened = Annotated[str, Depends(opened_async)]


def ran(token: str) -> None:
    count("tasks", -1)


async def ran_async(token: str) -> None:
    await asyncio.sleep(0)
    count("tasks", -1)


@app.get("/def/plain", response_model=None)
def def_plain(token: str, n: int = 1) -> dict[str, Any]:
    found = current.get()
    current.set(token)
    time.sleep(random.random() / 1000)
    return {"token": token, "n": n, "found": found, "now": current.get()}


@app.get("/async/plain", response_model=None)
async def async_plain(token: str, n: int = 1) -> dict[str, Any]:
    found = current.get()
    current.set(token)
    await asyncio.sleep(random.random() / 1000)
    return {"token": token, "n": n, "found": found, "now": current.get()}


@app.get("/def/depends/{token}", response_model=None)
def def_depends(
    token: str, opened: Opened, a: Annotated[int, Depends(counted)], b: Annotated[int, Depends(counted)]
) -> dict[str, Any]:
    return {"token": token, "opened": opened, "now": current.get(), "calls": [a, b]}


@app.get("/async/depends/{token}", response_model=None)
async def async_depends(
    token: str, opened: Opened, a: Annotated[int, Depends(counted)], b: Annotated[int, Depends(counted, use_cache=False)]
) -> dict[str, Any]:
    return {"token": token, "opened": opened, "now": current.get(), "calls": [a, b]}


@app.post("/def/item")
def def_item(item: Item, token: str) -> Item:
    return item


@app.post("/async/item")
async def async_item(item: Annotated[Item, Body(embed=True)], token: str) -> Item:
    return item


@app.post("/def/form", response_model=None)
def def_form(
    token: str, name: Annotated[str, Form()], x_token: Annotated[str, Header()], session: Annotated[str, Cookie()]
) -> list[str]:
    return [token, name, x_token, session]


@app.get("/def/tasks", response_model=None)
def def_tasks(token: str, tasks: BackgroundTasks, opened: Opened) -> str:
    count("tasks", 2)
    tasks.add_task(ran, token)
    tasks.add_task(ran_async, token)
    return token


@app.get("/async/tasks", response_model=None)
async def async_tasks(token: str, tasks: BackgroundTasks, response: Response) -> str:
    count("tasks")
    tasks.add_task(ran, token)
    response.headers["x-token"] = token
    response.set_cookie("token", token)
    return token


@app.get("/def/refused", response_model=None)
def def_refused(token: str, opened: Opened) -> None:
    raise Refused(token)


@app.get("/async/raised", response_model=None)
async def async_raised(token: str, opened: Opened) -> None:
    raise HTTPException(418, token, headers={"x-token": token})


@app.get("/def/failed", response_model=None)
def def_failed(token: str, opened: Opened) -> None:
    raise RuntimeError(token)


@app.get("/def/stream", response_model=None)
def def_stream(token: str, opened: Opened) -> StreamingResponse:
    def parts() -> Iterator[str]:
        for number in range(5):
            yield f"{token} {number} "

    return StreamingResponse(parts())


@app.get("/ledger")
async def tell() -> dict[str, Any]:
    with lock:
        return dict(ledger)


@app.get("/", response_model=None)
async def root() -> str:
    return "ready"
