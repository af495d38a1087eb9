"""Say how each route of an app is served, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from freelane.adapters.route_model import Served
from freelane.adapters.starlette import stack
from freelane.adapters.starlette.plan import Entry
from freelane.adapters.starlette.routing import CompiledRouter

BY_FRAMEWORK = "the framework's own routing finds it"


def served(router: CompiledRouter, obstacle: str, prefix: str = "") -> Iterator[Served]:
    """How the routes of ``router`` are served; ``obstacle`` is what runs around every endpoint."""
    for path, methods, below, entry in router.whole().rows:
        if type(entry) is Entry:
            lane = entry.plan.lane if not obstacle else "loop"
            reason = "; ".join(part for part in (entry.plan.reason, obstacle) if part)
            yield Served(prefix + path, frozen(methods), lane, entry.plan.compiled, reason)
        elif entry is None:
            if not below:
                yield Served(prefix + path, frozen(methods), "loop", False, BY_FRAMEWORK)
        else:
            yield from mounted(entry.route, entry.app, obstacle, prefix + path)


def frozen(methods: Any) -> frozenset[str] | None:
    return frozenset(methods) if methods else None


def mounted(route: Any, app: Any, obstacle: str, prefix: str) -> Iterator[Served]:
    if type(app) is CompiledRouter:
        yield from served(app, obstacle or "it is mounted", prefix)
        return
    inner = route.app
    around = stack.layers(inner) if hasattr(inner, "middleware_stack") and inner.middleware_stack else None
    if around and type(around[-1].app) is CompiledRouter:
        yield from served(around[-1].app, obstacle or "it is in a mounted app", prefix)
