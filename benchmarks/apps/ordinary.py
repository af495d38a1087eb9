"""What ordinary FastAPI apps are made of: a typed path parameter, authentication by a header,
a dependency that is closed again, a response model. The same routes alone, behind
CORSMiddleware, and behind three layers."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from pydantic import BaseModel

TOKEN = "Bearer letmein"


class Item(BaseModel):
    id: int
    name: str
    price: float
    tags: list[str] = []


class Store:
    """What a database session would be: opened and closed for each request."""

    def __init__(self) -> None:
        self.open = True

    def item(self, number: int) -> dict[str, Any]:
        return {"id": number, "name": f"item {number}", "price": number * 1.5, "tags": ["a", "b"]}

    def close(self) -> None:
        self.open = False


def store() -> Iterator[Store]:
    opened = Store()
    try:
        yield opened
    finally:
        opened.close()


async def async_store() -> AsyncIterator[Store]:
    opened = Store()
    try:
        yield opened
    finally:
        opened.close()


def user(authorization: Annotated[str, Header()]) -> str:
    if authorization != TOKEN:
        raise HTTPException(401, "who are you?")
    return "ada"


async def async_user(authorization: Annotated[str, Header()]) -> str:
    if authorization != TOKEN:
        raise HTTPException(401, "who are you?")
    return "ada"


AsyncStore = Annotated[Store, Depends(async_store)]
AsyncUser = Annotated[str, Depends(async_user)]


def make_app() -> FastAPI:
    made = FastAPI()

    @made.get("/")
    async def hello():
        return {"hello": "world"}

    @made.get("/items/{number}", response_model=Item)
    async def item(number: int, opened: AsyncStore, name: AsyncUser):
        return opened.item(number)

    @made.get("/lists/{number}", response_model=list[Item])
    async def items(number: int, opened: AsyncStore, name: AsyncUser):
        return [opened.item(number + offset) for offset in range(20)]

    @made.get("/def/{number}", response_model=Item)
    def item_def(number: int, opened: Annotated[Store, Depends(store)], name: Annotated[str, Depends(user)]):
        return opened.item(number)

    @made.get("/runtime")
    async def runtime() -> dict[str, Any]:
        """Says what serves it, so that a report states the GIL as it is after the app was loaded."""
        return {"python": sys.version, "gil": getattr(sys, "_is_gil_enabled", lambda: True)()}

    return made


app = make_app()

cors = make_app()
cors.add_middleware(CORSMiddleware, allow_origins=["https://example.org"], allow_methods=["*"])

layers = make_app()
layers.add_middleware(GZipMiddleware, minimum_size=1_000)
layers.add_middleware(CORSMiddleware, allow_origins=["https://example.org"], allow_methods=["*"])


@layers.middleware("http")
async def add_header(request, call_next):
    response = await call_next(request)
    response.headers["x-served-by"] = "ordinary"
    return response
