"""Litestar, under uvicorn with uvloop."""

# /// script
# dependencies = ["litestar", "pydantic", "uvicorn", "uvloop", "httptools", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14", "3.13"]
# command = "-m uvicorn benchmarks.contenders.litestar:app --host {host} --port {port} --log-level warning --no-access-log"
# ///

from collections.abc import Iterator
from typing import Any

from litestar import Litestar, MediaType, get, post
from litestar.di import Provide
from pydantic import BaseModel

from benchmarks import same

store = same.Store()


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


def session() -> Iterator[Any]:
    with store.session() as opened:
        yield opened


@get("/plain", media_type=MediaType.TEXT)
async def plain() -> str:
    return "hello"


@get("/json")
async def as_json() -> dict[str, str]:
    return {"hello": "world"}


@get(["/items/{number:int}", "/last/{number:int}", *(f"/resource{count}/{{number:int}}" for count in range(same.FILLERS))])
async def item(number: int) -> dict[str, int]:
    return {"id": number}


@post("/items", status_code=200)
async def create(data: Item) -> dict[str, Any]:
    return same.priced(data.name, data.price, data.tags)


@get("/compute", sync_to_thread=True)
def compute() -> dict[str, int]:
    return same.compute()


@get("/session/{number:int}", sync_to_thread=True, dependencies={"opened": Provide(session, sync_to_thread=True)})
def with_session(number: int, opened: Any) -> dict[str, Any]:
    return store.item(opened, number)


app = Litestar([plain, as_json, item, create, compute, with_session], openapi_config=None)
