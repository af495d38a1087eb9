"""A FastAPI app with one endpoint of each kind that is measured, as its tutorial would have them."""

import sys
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


class Priced(BaseModel):
    name: str
    total: float
    tags: list[str]


def page(skip: int = 0, limit: int = 100) -> dict[str, int]:
    return {"skip": skip, "limit": limit}


@app.get("/")
async def hello():
    return {"hello": "world"}


@app.get("/def")
def hello_def():
    return {"hello": "world"}


@app.get("/items/{item_id}")
async def read_item(item_id: int, q: str | None = None):
    return {"item_id": item_id, "q": q}


@app.get("/page")
async def read_page(values: Annotated[dict[str, int], Depends(page)]):
    return values


@app.post("/items")
async def create_item(item: Item) -> Priced:
    return Priced(name=item.name, total=item.price * 1.2, tags=item.tags)


@app.get("/runtime")
async def runtime() -> dict[str, Any]:
    """Says what serves it, so that a report states the GIL as it is after the app was loaded."""
    return {"python": sys.version, "gil": getattr(sys, "_is_gil_enabled", lambda: True)()}
