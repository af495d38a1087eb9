"""Apps that belong to this package, each with the lanes that are measured on it."""

from __future__ import annotations

from dataclasses import dataclass

from .load import Request
from .runs import LANES, Lane


@dataclass(frozen=True)
class Suite:
    target: str  # module:app
    lanes: tuple[Lane, ...]


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
}
