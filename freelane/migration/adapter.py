"""What the server asks of an app, answered by the served app's own adapter: it is compiled as without a front."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from freelane.adapters import registry
from freelane.adapters.lane_route import Run
from freelane.adapters.route_model import RouteEntry, RouteTable, Served
from freelane.migration.front import Migration


class Fronted:
    """One worker's view: every request meets the front, which calls the app as its own adapter would have it called."""

    direct = False

    def __init__(self, front: Migration, app: Any) -> None:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await front.answer(app, scope, receive, send)

        self.app = answer

    def bind(self, gateway: Any) -> None:
        return None


class MigrationAdapter(registry.Adapter):
    """Of a front; but for ``adapt`` all is as for the app behind it."""

    def knows(self, app: Any) -> bool:
        return isinstance(app, Migration)

    def adapt(self, app: Any, executor: Any = None, lane: Any = None) -> Fronted:
        return Fronted(app, registry.adapt(app.app, executor, lane).app)

    def rsgi_obstacle(self, app: Any) -> str:
        return "another app may be asked for what RSGI cannot carry"

    def route_table(self, app: Any) -> RouteTable:
        return registry.route_table(app.app)

    def describe(self, app: Any) -> list[Served]:
        return registry.adapter_of(app.app).describe(app.app)

    def landmarks(self, app: Any) -> list[Any]:
        return registry.adapter_of(app.app).landmarks(app.app)

    def place(self, entry: RouteEntry, find: Callable[[], Run | None]) -> None:
        registry.adapter_of(entry.owner).place(entry, find)

    def share_state(self, app: Any) -> str | None:
        return registry.adapter_of(app.app).share_state(app.app)

    def families(self, app: Any) -> Iterable[Any]:
        from freelane.migration import metrics

        return metrics.families(app)


registry.register(MigrationAdapter())
