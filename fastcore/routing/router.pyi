from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from typing_extensions import disjoint_base

from freelane.fastcore.routing.route_pattern import Convertor

@disjoint_base
class Route:
    """One registered route; a mount's ``path`` has its ``/{path:path}``."""

    path: str
    methods: tuple[str, ...] | None
    value: Any

@disjoint_base
class MethodNotAllowed:
    """The path matches, the method does not.

    ``value``, ``params`` and ``methods`` are those of the first such route, which is what
    Starlette answers with; ``allow`` is the union over all of them (RFC 9110, 15.5.6).
    """

    value: Any
    params: dict[str, Any] | None
    methods: tuple[str, ...] | None
    allow: tuple[str, ...]

@disjoint_base
class Snapshot:
    """An immutable table of routes; any number of threads match on it without a lock."""

    routes: tuple[Route, ...]
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def __len__(self) -> int: ...
    def match(self, method: str, path: str) -> tuple[Any, dict[str, Any] | None] | MethodNotAllowed | None:
        """``(value, params)`` of the winner; None if no path matches (404).

        ``path`` is percent-decoded, as ASGI's ``scope["path"]``. ``params`` is None for a
        route without parameters. Raises what a user's convertor raises, where Starlette
        would have met it.
        """

    def visits(self, method: str, path: str) -> int:
        """How many nodes and parameters one match looks at; for tests of its cost."""

@disjoint_base
class Router:
    """Collects routes and publishes snapshots of them.

    ``order`` is "first" (the first registered match wins, as in Starlette) or "specific"
    (static before typed before free parameters, with backtracking). ``convertors`` maps
    type names to convertors beyond str, int, float, uuid and path.
    """

    order: str
    def __new__(
        cls, order: Literal["first", "specific"] = "first", *, convertors: Mapping[str, Convertor] | None = None
    ) -> Self: ...
    def add(
        self,
        path: str,
        methods: Iterable[str] | None,
        value: Any,
        *,
        prefix: bool = False,
        convertors: Mapping[str, Convertor] | None = None,
    ) -> int:
        """Register ``path`` (Starlette's syntax) for ``methods``, None for any; returns its index.

        ``prefix`` matches what is below the path as well, as Starlette's Mount does. Seen
        by matches after ``publish``. Raises ValueError for a pattern that cannot be used.
        """

    def clear(self) -> None:
        """Forget all routes; published snapshots stay as they are."""

    def publish(self) -> Snapshot:
        """Build a snapshot of the routes and put it in place of the last one."""

    def snapshot(self) -> Snapshot:
        """The last one published."""

    def match(self, method: str, path: str) -> tuple[Any, dict[str, Any] | None] | MethodNotAllowed | None:
        """``snapshot().match(method, path)``."""

    def __len__(self) -> int: ...
