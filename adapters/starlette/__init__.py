"""Starlette apps, subclasses such as FastAPI included.

The app's own ASGI callable serves every request, with its `def` endpoints moved from
anyio's thread pool to freelane's. Where nothing of the app's own runs around a `def`
endpoint, the request does not visit the event loop at all (``direct``).
"""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette

from freelane.adapters.starlette import threads
from freelane.adapters.starlette.direct import DirectRoutes
from freelane.adapters.starlette.routes import websocket_routes
from freelane.adapters.starlette.table import route_table

__all__ = ["StarletteAdapter", "knows", "route_table", "websocket_routes"]


def knows(app: Any) -> bool:
    """Whether this adapter can read the app."""
    return isinstance(app, Starlette)


class StarletteAdapter:
    """One worker's view of a Starlette app."""

    def __init__(self, app: Starlette, executor: Any, lane: Any) -> None:
        self.app = app
        self.executor = executor
        # Starlette builds its middleware at the first request, without a lock.
        if app.middleware_stack is None:
            app.middleware_stack = app.build_middleware_stack()
        self.calls = threads.ThreadCalls(executor, lane)
        threads.move_endpoints(app.routes)
        self.routes = DirectRoutes(app, executor, self.calls)

    @property
    def direct(self) -> bool:
        """Whether some request can be answered without the loop."""
        return self.routes.any

    def schedule(self, gateway: Any) -> Any:
        return self.routes.bind(gateway)
