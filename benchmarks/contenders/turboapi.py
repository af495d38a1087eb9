"""turboapi, with its own server in Zig, made for free-threaded Python."""

# /// script
# dependencies = ["turboapi", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14t", "3.14", "3.13"]
# command = "-m benchmarks.contenders.turboapi"
# ///

import os
from typing import Any

from dhi import BaseModel
from turboapi import TurboAPI
from turboapi.responses import PlainTextResponse

from benchmarks import same

store = same.Store()
app = TurboAPI()


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


@app.get("/plain")
def plain():
    return PlainTextResponse("hello")


@app.get("/json")
def as_json():
    return {"hello": "world"}


def item(number: int):
    return {"id": number}


@app.post("/items")
def create(item: Item):
    return same.priced(item.name, item.price, item.tags)


@app.get("/compute")
def compute():
    return same.compute()


@app.get("/session/{number}")
def with_session(number: int) -> Any:
    with store.session() as opened:
        return store.item(opened, number)


for path in ("/items/{number}", *(f"/resource{count}/{{number}}" for count in range(same.FILLERS)), "/last/{number}"):
    app.get(path)(item)

if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
