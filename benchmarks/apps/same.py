"""The endpoints of the published comparison as FastAPI has them; every ASGI server serves this one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from benchmarks import same

app = FastAPI(openapi_url=None)
store = same.Store()


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


def session() -> Iterator[Any]:
    with store.session() as opened:
        yield opened


@app.get("/plain", response_class=PlainTextResponse)
async def plain():
    return "hello"


@app.get("/json")
async def as_json():
    return {"hello": "world"}


@app.get("/items/{number}")
async def item(number: int):
    return {"id": number}


@app.post("/items")
async def create(item: Item):
    return same.priced(item.name, item.price, item.tags)


@app.get("/compute")
def compute():
    return same.compute()


@app.get("/session/{number}")
def with_session(number: int, opened: Annotated[Any, Depends(session)]):
    return store.item(opened, number)


async def filler(number: int):
    return {"id": number}


for count in range(same.FILLERS):
    app.get(f"/resource{count}/{{number}}")(filler)
app.get("/last/{number}")(filler)
