"""What the server asks of an app, answered by the served app's own adapter: it is compiled as without a front."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from freelane.adapters import registry
from freelane.adapters.lane_route import Run
from freelane.adapters.route_model import RouteEntry, RouteTable, Served
from freelane.migration.direct import Way
from freelane.migration.front import Migration


class Fronted:
    """One worker's view: every request meets the front, and the app is called as its own adapter would have it."""

    def __init__(self, front: Migration, inner: registry.Adapted) -> None:
        self.front = front
        self.inner = inner
        app = inner.app

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await front.answer(app, scope, receive, send)

        self.app = answer

    @property
    def direct(self) -> bool:
        return self.inner.direct

    def bind(self, gateway: Any) -> Way | None:
        inner = self.inner.bind(gateway)
        return None if inner is None or gateway.rsgi else Way(self.front, inner, gateway)


class MigrationAdapter(registry.Adapter):
    """Of a front; but for ``adapt`` all is as for the app behind it."""

    def knows(self, app: Any) -> bool:
        return isinstance(app, Migration)

    def adapt(self, app: Any, executor: Any = None, lane: Any = None) -> Fronted:
        return Fronted(app, registry.adapt(app.app, executor, lane))

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
