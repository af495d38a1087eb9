"""What is precomputed of a route: its scope keys, its lane, and the call that makes its response."""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from freelane.adapters.lane_route import LaneRoute
from freelane.fastcore.routing.guard import Guard

Scope = MutableMapping[str, Any]
ASGIApp = Callable[..., Any]


class Delegate(Exception):
    """Raised by a plan, before any of the app's code ran, for a request that the framework must answer."""


class Later:
    """A function that is made as it is first called, which is dear; any thread may be the first."""

    __slots__ = ("found", "lock", "make")

    def __init__(self, make: Callable[[], Callable[..., Any]]) -> None:
        self.make = make
        # Guards the making; readers take the reference as it is.
        self.lock = threading.Lock()
        self.found: Callable[..., Any] | None = None

    def made(self) -> Callable[..., Any]:
        """The function itself."""
        if self.found is None:
            with self.lock:
                if self.found is None:
                    self.found = self.make()
        return self.found

    def __call__(self, *args: Any) -> Any:
        return self.made()(*args)


class Closing(Protocol):
    """What the code of one request opened. False where nothing is open.

    ``close`` takes the exception that ends the request, or None, and returns the one that is
    left; ``fail`` is for an exception that came in the place of a response, and returns what
    takes its place. ``aclose`` and ``afail`` are for the loop.
    """

    def close(self, error: BaseException | None) -> BaseException | None: ...

    def fail(self, error: BaseException) -> BaseException: ...

    async def aclose(self, error: BaseException | None) -> BaseException | None: ...

    async def afail(self, error: BaseException) -> BaseException: ...


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How the requests of one route are answered.

    - ``app``: the route's ASGI app, for a request that comes through the app's own middleware.
    - ``lane``: "loop", "free" or "gil".
    - ``call``: ``(request) -> response``, or ``(request, body: bytes) -> response`` where
      ``body`` is set; a coroutine function unless ``lane`` is "free". None where only ``app``
      gives the right answer.
    - ``compiled``: whether what the framework works out per request is worked out once, at the latest for the first one.
    - ``reason``: why not, in words for people.
    - ``guard``: what the plan was made of, and holds while that is unchanged.
    - ``opened``: makes what ``call`` takes after the request, and leaves in it whatever must be
      closed once the response was sent (``Closing``); None where nothing is.
    """

    app: ASGIApp
    call: Callable[..., Any] | None = None
    lane: str = "loop"
    body: bool = False
    compiled: bool = True
    reason: str = ""
    guard: Guard = Guard()
    opened: Callable[[], Closing] | None = None


def gil_plan(app: Any) -> Plan | None:
    """The plan of a route that the gil lane has taken; None for another one's ``app``."""
    if type(app) is not LaneRoute:
        return None
    return Plan(app, None, "gil", compiled=False, reason="it is in the gil lane")


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A route as the table has it.

    - ``holder``: what FastAPI or Starlette keeps of the route: itself, or its inclusion in a router.
    - ``app``: the framework's own ASGI app for it.
    - ``guard``: holds while the route is as it was read.
    - ``constants``: the scope keys that routing sets; ``fresh``: those whose dicts every request
      needs a copy of.
    """

    route: Any
    holder: Any
    app: Any
    plan: Plan
    guard: Guard
    constants: dict[str, Any]
    fresh: dict[str, dict[str, Any]] = field(default_factory=dict)

    def unchanged(self) -> bool:
        return self.guard.holds() and self.plan.guard.holds()

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


def make_entry(
    siblings: list[Any],
    index: int,
    holder: Any,
    plan: Plan,
    constants: dict[str, Any],
    fresh: dict[str, dict[str, Any]] | None = None,
) -> Entry:
    """The entry of the route ``siblings[index]``."""
    route = siblings[index]
    guard = Guard(
        attributes=[(holder, name, getattr(holder, name)) for name in ("app", "endpoint")],
        sizes=[(holder.methods, len(holder.methods))] if holder.methods else (),
        places=[(siblings, index, route)],
        absent=[(vars(route), "handle"), (vars(route), "matches")],
    )
    return Entry(route, holder, holder.app, plan, guard, constants, fresh or {})
