"""Routes as they are registered, and the compiled table that requests are matched with."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

from freelane.adapters.lane_route import Run
from freelane.adapters.pyre import body_use, injection, models
from freelane.fastcore.routing.router import Router
from freelane.fastcore.routing.targets import DirectTarget

# `{*rest}` is the form that Pyre's router (matchit) has for Starlette's `{rest:path}`.
CATCH_ALL = re.compile(r"\{\*([A-Za-z_][A-Za-z0-9_]*)\}")
PARAM = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::[A-Za-z_][A-Za-z0-9_]*)?\}")

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")


def is_async(function: Any) -> bool:
    """Whether calling ``function`` gives a coroutine, a class with ``async def __call__`` included."""
    while hasattr(function, "func") and not inspect.isroutine(function):  # functools.partial
        function = function.func
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function) and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
    )


def nowhere() -> None:
    """Of a route that runs in this process."""


class Route(DirectTarget):
    """One method and path, and the handler behind it. Constant once made."""

    def __init__(self, method: str, path: str, handler: Callable[..., Any], *, gil: bool = False, model: Any = None) -> None:
        if not path.startswith("/"):
            raise ValueError(f"route error: path '{path}' must start with '/'")
        if not callable(handler):
            raise TypeError(f"route error: the handler of '{path}' is a {type(handler).__name__}, which cannot be called")
        self.method = method.upper()
        self.path = path
        self.pattern = CATCH_ALL.sub(r"{\1:path}", path)
        if any(brace in PARAM.sub("", self.pattern) for brace in "{}"):
            raise ValueError(f"route error: '{path}' is no pattern: parameters are {{name}}, the last may be {{*rest}}")
        self.handler = handler
        # Set by freelane's decorator for endpoints of the gil lane.
        self.gil = gil or bool(getattr(handler, "__freelane_gil__", False))
        self.model = model
        self.name = getattr(handler, "__name__", type(handler).__name__)
        self.is_async = is_async(handler)
        # Its lane, and whether it wants the request's body, are known once hooks are.
        self.body = True
        # What runs it in a process of the gil lane, for the running loop; set before anything is served.
        self.elsewhere: Callable[[], Run | None] = nowhere
        names = PARAM.findall(self.pattern)
        self.parameters: list[injection.Parameter] = []
        if model is None:
            self.parameters = injection.plan(handler, names)
            self.call = injection.caller(handler, self.parameters)
        else:
            # Pyre counts the parameters to tell whether the request is wanted too.
            count = len(inspect.signature(handler).parameters)
            self.call = models.with_model(handler, model, count)
        # No client sends a body with these as a rule, and looking for one costs as much as the rest.
        self.asks_for_body = (
            method.upper() not in ("GET", "HEAD") or model is not None or body_use.may_ask(handler, self.parameters)
        )

    def __repr__(self) -> str:
        return f"<Route {self.method} {self.path} {self.name}>"


class RouteTable:
    """The most specific route wins, as in Pyre."""

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self.keys: set[tuple[str, str]] = set()

    def add(self, route: Route) -> None:
        """Raises ValueError for a second route of the same method and path."""
        key = route.method, PARAM.sub("{}", route.pattern)
        if key in self.keys:
            raise ValueError(f"route error: {route.method} {route.path} conflicts with a route registered before")
        self.keys.add(key)
        self.routes.append(route)

    def compile(self, extra: Iterable[Route] = ()) -> Any:
        """A snapshot for matching; see ``fastcore.router``."""
        router = Router("specific")
        for route in (*self.routes, *extra):
            router.add(route.pattern, [route.method], route)
        return router.publish()
