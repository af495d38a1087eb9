"""The endpoints of the published comparison as Pyre and those that follow it have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from benchmarks import same

store: same.Store | None = None


def opened_store() -> same.Store:
    """Made by each interpreter for itself, when it is first asked."""
    global store
    store = store or same.Store()
    return store


def make(framework: Callable[[], Any], **on_main: Any) -> Any:
    """An app of ``framework``; ``on_main`` is how its routes ask for the main interpreter."""
    app = framework()

    @app.get("/plain")
    def plain(req):
        return "hello"

    @app.get("/json")
    def as_json(req):
        return {"hello": "world"}

    @app.post("/items")
    def create(req):
        # Validated by hand: pydantic-core cannot be imported in a sub-interpreter.
        data = json.loads(req.body)
        name, price, tags = data["name"], data["price"], data.get("tags", [])
        if not (isinstance(name, str) and isinstance(price, (int, float)) and all(isinstance(tag, str) for tag in tags)):
            raise ValueError("no item")
        return same.priced(name, price, tags)

    @app.get("/compute")
    def compute(req):
        return same.compute()

    @app.get("/session/{number}", **on_main)
    def with_session(req):
        kept = opened_store()
        with kept.session() as opened:
            return kept.item(opened, int(req.params["number"]))

    def item(req):
        return {"id": int(req.params["number"])}

    for path in ("/items/{number}", *(f"/resource{count}/{{number}}" for count in range(same.FILLERS)), "/last/{number}"):
        app.get(path)(item)
    return app
