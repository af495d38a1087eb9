"""Falcon's ASGI app, under uvicorn with uvloop."""

# /// script
# dependencies = ["falcon", "pydantic", "uvicorn", "uvloop", "httptools", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14", "3.13"]
# command = "-m uvicorn benchmarks.contenders.falcon:app --host {host} --port {port} --log-level warning --no-access-log"
# ///

from typing import Any

import falcon
import falcon.asgi
from falcon import sync_to_async
from pydantic import BaseModel

from benchmarks import same

store = same.Store()


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


class Plain:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.content_type, resp.text = falcon.MEDIA_TEXT, "hello"


class Json:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.media = {"hello": "world"}


class One:
    async def on_get(self, req: Any, resp: Any, number: int) -> None:
        resp.media = {"id": number}


class Items:
    async def on_post(self, req: Any, resp: Any) -> None:
        item = Item.model_validate(await req.get_media())
        resp.media = same.priced(item.name, item.price, item.tags)


class Compute:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.media = await sync_to_async(same.compute)


class Session:
    async def on_get(self, req: Any, resp: Any, number: int) -> None:
        resp.media = await sync_to_async(self.ask, number)

    def ask(self, number: int) -> dict[str, Any]:
        with store.session() as opened:
            return store.item(opened, number)


app = falcon.asgi.App()
app.add_route("/plain", Plain())
app.add_route("/json", Json())
app.add_route("/items/{number:int}", One())
app.add_route("/items", Items())
app.add_route("/compute", Compute())
app.add_route("/session/{number:int}", Session())
for count in range(same.FILLERS):
    app.add_route(f"/resource{count}/{{number:int}}", One())
app.add_route("/last/{number:int}", One())
