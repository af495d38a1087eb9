"""Stock granian's own interface, RSGI, with no framework: a handler for each path, written by hand."""

# /// script
# dependencies = ["granian", "uvloop", "pydantic", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14", "3.13"]
# command = "-m granian --interface rsgi benchmarks.contenders.granian_rsgi:app --host {host} --port {port} --log-level warning"
# ///

from __future__ import annotations

import asyncio
import json
from typing import Any

from pydantic import BaseModel

from benchmarks import same

store = same.Store()
JSON = [("content-type", "application/json")]


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


def with_session(number: int) -> dict[str, Any]:
    with store.session() as opened:
        return store.item(opened, number)


async def app(scope: Any, protocol: Any) -> None:
    path = scope.path
    if path == "/plain":
        protocol.response_str(200, [("content-type", "text/plain")], "hello")
        return
    if path == "/json":
        value: Any = {"hello": "world"}
    elif path == "/items" and scope.method == "POST":
        item = Item.model_validate_json(await protocol())
        value = same.priced(item.name, item.price, item.tags)
    elif path.startswith(("/items/", "/last/", "/resource")):
        value = {"id": int(path.rpartition("/")[2])}
    elif path == "/compute":
        value = await asyncio.to_thread(same.compute)
    elif path.startswith("/session/"):
        value = await asyncio.to_thread(with_session, int(path.rpartition("/")[2]))
    else:
        protocol.response_str(404, JSON, "null")
        return
    protocol.response_str(200, JSON, json.dumps(value))
