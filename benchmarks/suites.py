"""Apps that belong to this package, each with the lanes that are measured on it."""

from __future__ import annotations

from dataclasses import dataclass

from .load import Request
from .runs import LANES, Lane


@dataclass(frozen=True)
class Suite:
    target: str  # module:app
    lanes: tuple[Lane, ...]


# What benchmarks.apps.ordinary takes for a login.
LOGIN = (("Authorization", "Bearer letmein"),)
ORDINARY = "benchmarks.apps.ordinary"

SUITES = {
    "hello": Suite("benchmarks.apps.hello:app", LANES),
    "routes": Suite(
        "benchmarks.apps.routes:app",
        (
            Lane("hello", "async def, JSON, first of 103 routes", Request()),
            Lane("def", "def, JSON, second of 103 routes", Request(path="/def")),
            Lane("last", "async def, JSON, last of 103 routes", Request(path="/last/7")),
        ),
    ),
    "fastapi": Suite(
        "benchmarks.apps.fastapi_app:app",
        (
            Lane("hello", "async def, JSON", Request()),
            Lane("def", "def, JSON", Request(path="/def")),
            Lane("parameters", "async def, path and query parameter", Request(path="/items/7?q=word")),
            Lane("depends", "async def, one Depends with two query parameters", Request(path="/page?skip=20&limit=10")),
            Lane(
                "body",
                "async def, JSON body in, model out",
                Request("POST", "/items", '{"name": "lane", "price": 2.5, "tags": ["a", "b"]}'),
            ),
        ),
    ),
    "ordinary": Suite(
        f"{ORDINARY}:app",
        (
            Lane("hello", "async def, JSON", Request()),
            Lane(
                "item",
                "async def, path parameter, an async yield and an async auth dependency, response model",
                Request(path="/items/7", headers=LOGIN),
            ),
            Lane("list", "the same, a list of 20 models", Request(path="/lists/7", headers=LOGIN)),
            Lane("def", "def, a def yield and a def auth dependency", Request(path="/def/7", headers=LOGIN), scales=True),
            Lane(
                "cors",
                "item behind CORSMiddleware",
                Request(path="/items/7", headers=(*LOGIN, ("Origin", "https://example.org"))),
                target=f"{ORDINARY}:cors",
            ),
            Lane(
                "layers",
                "item behind @app.middleware('http'), CORS and GZip",
                Request(path="/items/7", headers=LOGIN),
                target=f"{ORDINARY}:layers",
            ),
        ),
    ),
    # With --against pyre; the app imports pyreframework, which the alias is for.
    "pyre": Suite(
        "benchmarks.apps.pyre.bench:app",
        (
            Lane("hello", "def, JSON", Request()),
            Lane("parameter", "def, path parameter", Request(path="/user/42")),
            Lane("echo", "def, JSON body in and out", Request("POST", "/echo", '{"name": "lane", "n": [1, 2, 3]}')),
            Lane("compute", "def, pure Python, one core and all cores", Request(path="/compute"), scales=True),
        ),
    ),
}
