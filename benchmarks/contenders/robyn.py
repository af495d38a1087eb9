"""Robyn, with its own server."""

# /// script
# dependencies = ["robyn", "pydantic", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14", "3.13"]
# command = "-m benchmarks.contenders.robyn --log-level WARN"
# ///

import os
from typing import Any

from pydantic import BaseModel
from robyn import Request, Robyn

from benchmarks import same

store = same.Store()
app = Robyn(__file__)


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


@app.get("/plain")
async def plain() -> str:
    return "hello"


@app.get("/json")
async def as_json() -> dict[str, str]:
    return {"hello": "world"}


async def item(request: Request) -> dict[str, int]:
    return {"id": int(request.path_params["number"])}


@app.post("/items")
async def create(request: Request) -> dict[str, Any]:
    found = Item.model_validate_json(request.body)
    return same.priced(found.name, found.price, found.tags)


@app.get("/compute")
def compute() -> dict[str, int]:
    return same.compute()


@app.get("/session/:number")
def with_session(request: Request) -> dict[str, Any]:
    with store.session() as opened:
        return store.item(opened, int(request.path_params["number"]))


for path in ("/items/:number", *(f"/resource{count}/:number" for count in range(same.FILLERS)), "/last/:number"):
    app.get(path)(item)

if __name__ == "__main__":
    app.start(host="127.0.0.1", port=int(os.environ["PORT"]))
