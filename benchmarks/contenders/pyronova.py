"""pyronova, which Pyre became."""

# /// script
# dependencies = ["pyronova", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14"]
# command = "@pyronova run benchmarks.contenders.pyronova:app --host {host} --port {port}"
# ///

import json

from pyronova import Pyronova

from benchmarks import same

app = Pyronova()
store = None


def opened_store():
    # Made by each interpreter for itself, when it is first asked.
    global store
    store = store or same.Store()
    return store


@app.get("/plain")
def plain(req):
    return "hello"


@app.get("/json")
def as_json(req):
    return {"hello": "world"}


def item(req):
    return {"id": int(req.params["number"])}


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


@app.get("/session/{number}", gil=True)
def with_session(req):
    kept = opened_store()
    with kept.session() as opened:
        return kept.item(opened, int(req.params["number"]))


for path in ("/items/{number}", *(f"/resource{count}/{{number}}" for count in range(same.FILLERS)), "/last/{number}"):
    app.get(path)(item)
