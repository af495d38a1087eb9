"""Starlette apps."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles


def knows(app: Any) -> bool:
    """Whether this adapter can read the app."""
    return isinstance(app, Starlette)


class StarletteAdapter:
    direct = False

    def __init__(self, app: Any, executor: Any, lane: Any) -> None:
        self.app = app

    def schedule(self, gateway: Any) -> Any:
        return gateway.schedule


def websocket_routes(app: Any) -> list[str] | None:
    """Paths of WebSocket routes, mounts included; None if something mounted cannot be read."""
    return collect(app.routes, "")


def collect(routes: list[BaseRoute], prefix: str) -> list[str] | None:
    found: list[str] = []
    for route in routes:
        if isinstance(route, WebSocketRoute):
            found.append(prefix + route.path)
        elif isinstance(route, (Mount, Host)):
            inner = route.app
            while hasattr(inner, "app") and not isinstance(inner, (Starlette, Router)):
                inner = inner.app
            if isinstance(inner, StaticFiles):
                continue
            if not isinstance(inner, (Starlette, Router)):
                return None
            below = collect(list(inner.routes), prefix + getattr(route, "path", ""))
            if below is None:
                return None
            found += below
        elif not isinstance(route, Route):
            return None
    return found
