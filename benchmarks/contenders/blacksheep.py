"""BlackSheep, under uvicorn with uvloop."""

# /// script
# dependencies = ["blacksheep", "pydantic", "uvicorn", "uvloop", "httptools", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14", "3.13"]
# command = "-m uvicorn benchmarks.contenders.blacksheep:app --host {host} --port {port} --log-level warning --no-access-log"
# ///

import asyncio
from typing import Any

from blacksheep import Application, FromJSON, Response, json, text
from pydantic import BaseModel

from benchmarks import same

store = same.Store()
app = Application()
get, post = app.router.get, app.router.post


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


@get("/plain")
async def plain() -> Response:
    return text("hello")


@get("/json")
async def as_json() -> Response:
    return json({"hello": "world"})


async def item(number: int) -> Response:
    return json({"id": number})


@post("/items")
async def create(data: FromJSON[Item]) -> Response:
    found = data.value
    return json(same.priced(found.name, found.price, found.tags))


# Its own `def` handlers would hold the event loop.
@get("/compute")
async def compute() -> Response:
    return json(await asyncio.to_thread(same.compute))


def ask(number: int) -> dict[str, Any]:
    with store.session() as opened:
        return store.item(opened, number)


@get("/session/{number}")
async def with_session(number: int) -> Response:
    return json(await asyncio.to_thread(ask, number))


for path in ("/items/{number}", *(f"/resource{count}/{{number}}" for count in range(same.FILLERS)), "/last/{number}"):
    get(path)(item)
