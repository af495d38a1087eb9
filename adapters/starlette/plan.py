"""What is precomputed of a route: its scope keys, its lane, and the call that makes its response."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Scope = MutableMapping[str, Any]
ASGIApp = Callable[..., Any]


class Delegate(Exception):
    """Raised by a plan, before any of the app's code ran, for a request that the framework must answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How the requests of one route are answered.

    - ``app``: the route's ASGI app, for a request that comes through the app's own middleware.
    - ``call``: ``(request) -> response``, or ``(request, body: bytes) -> response`` where
      ``body`` is set; a coroutine function unless ``lane`` is "free". None where only ``app``
      gives the right answer.
    - ``compiled``: whether what the framework works out per request was worked out at start.
    - ``reason``: why not, in words for people.
    """

    app: ASGIApp
    call: Callable[..., Any] | None = None
    lane: str = "loop"
    body: bool = False
    compiled: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A route as the table has it, and the marks by which a later change of it is noticed.

    ``siblings[index]`` is ``registered`` and ``holder.app`` is ``app`` while it is unchanged.
    ``constants`` are the scope keys that routing sets; ``fresh`` are those whose dicts every
    request needs a copy of.
    """

    route: Any
    siblings: list[Any]
    index: int
    registered: Any
    holder: Any
    app: Any
    plan: Plan
    constants: dict[str, Any]
    fresh: dict[str, dict[str, Any]] = field(default_factory=dict)

    def unchanged(self) -> bool:
        siblings, index = self.siblings, self.index
        return (
            index < len(siblings)
            and siblings[index] is self.registered
            and self.holder.app is self.app
            and self.holder.endpoint is self.constants["endpoint"]
        )

    def enter(self, scope: Scope, params: dict[str, Any] | None) -> None:
        """Leave ``scope`` as the framework's routing would."""
        scope.update(self.constants)
        for key, value in self.fresh.items():
            scope[key] = {**scope.get(key, {}), **value}
        outer = scope.get("path_params")
        scope["path_params"] = {**outer, **(params or {})} if outer else params or {}


@dataclass(frozen=True, slots=True, eq=False)
class MountEntry:
    """A mounted app; its own matching sets the scope, and ``app`` serves what is below it."""

    route: Any
    app: ASGIApp
    constants: dict[str, Any]

    def enter(self, scope: Scope, params: dict[str, Any] | None) -> bool:
        """False, with nothing changed, if the mount itself would not take the request."""
        match, child = self.route.matches(scope)
        if match.value != 2:  # starlette.routing.Match.FULL
            return False
        scope.update(self.constants)
        scope.update(child)
        return True
