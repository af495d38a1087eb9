"""Registering an endpoint twice: as the `def` it is written as, and as an ``async def``.

A return annotation of ``Any`` is for type checkers: such an endpoint has no response model.
"""

import inspect
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI

Endpoint = Callable[..., Any]


def awaited(function: Endpoint) -> Endpoint:
    """``function`` as an ``async def`` of the same name and signature."""

    async def endpoint(**values: Any) -> Any:
        return function(**values)

    endpoint.__name__ = function.__name__
    endpoint.__doc__ = function.__doc__
    endpoint.__module__ = function.__module__
    endpoint.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    return endpoint


class Both:
    """Adds each endpoint to ``target`` below ``/def`` and below ``/async``."""

    def __init__(self, target: FastAPI | APIRouter) -> None:
        self.target = target

    def add(self, path: str, *methods: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        def register(function: Endpoint) -> Endpoint:
            if inspect.get_annotations(function).get("return") in (Any, "Any"):
                options.setdefault("response_model", None)
            self.target.add_api_route(f"/def{path}", function, methods=[*methods], **options)
            self.target.add_api_route(f"/async{path}", awaited(function), methods=[*methods], **options)
            return function

        return register

    def get(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.add(path, "GET", **options)

    def post(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.add(path, "POST", **options)
