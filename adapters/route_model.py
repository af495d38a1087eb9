"""What an adapter says of an app's routes to those who do not know its framework."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["http", "websocket"]
KINDS: tuple[Kind, ...] = ("http", "websocket")


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """One route, in the app's order.

    ``path`` is in Starlette's syntax, mounts' prefixes included; ``prefix`` matches what is
    below it as well. ``methods`` is None for any. ``code`` is what runs for it, the endpoint
    first: what stands around it and the dependencies follow. ``gil`` says that the framework
    itself marks it for the gil lane. ``route`` is what the framework keeps of it, ``holder`` what
    has the ASGI app that it calls for it, ``owner`` the framework's app that both are part of.
    ``mounts`` are those around ``owner`` that have a ``state`` of their own.
    """

    kind: Kind
    methods: tuple[str, ...] | None
    path: str
    endpoint: Any
    code: tuple[Any, ...] = ()
    prefix: bool = False
    gil: bool = False
    route: Any = None
    holder: Any = None
    owner: Any = None
    mounts: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteTable:
    """An app's routes. ``order`` is the router's: "first" registered wins, or most "specific".

    ``everywhere`` is code that runs for every request (middleware, exception handlers),
    ``startup`` what runs in the lifespan. ``unreadable`` names what could not be read.
    ``root_path`` is what the app itself takes off the front of a path. ``state`` is what ``app.state``
    holds, the mounted apps' included.
    ``copes`` says that the framework can serve what it marks for the gil lane without one.
    """

    entries: list[RouteEntry] = field(default_factory=list)
    order: Literal["first", "specific"] = "first"
    convertors: Mapping[str, Any] = field(default_factory=dict)
    everywhere: tuple[Any, ...] = ()
    startup: tuple[Any, ...] = ()
    unreadable: tuple[str, ...] = ()
    copes: bool = False
    root_path: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Served:
    """How the main process serves a route: its lane, "free" or "loop", and whether it is compiled.

    ``reason`` is why not, or what keeps the route from its endpoint's own lane.
    """

    path: str
    methods: frozenset[str] | None
    lane: str
    compiled: bool
    reason: str = ""


def methods_of(route: Any) -> tuple[str, ...] | None:
    methods: Iterable[str] | None = getattr(route, "methods", None)
    return tuple(sorted(methods)) if methods else None
