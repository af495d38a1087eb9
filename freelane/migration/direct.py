"""The served app's direct way, with a look at what it answers: a front must not cost what compiled routes gain.

A request that the app answers by itself goes on as it came from Granian, and the front sees its response where
it goes to Granian. All others take the gateway's way, to the front's own ASGI callable.
"""

from __future__ import annotations

from typing import Any

from freelane.fastcore.asgi.scope import complete_scope
from freelane.migration.front import Exchange, Migration

# In the scope of a request that was counted here, for the front's callable, should it come there after all.
SEEN = "freelane.migration"


class Proto:
    """Granian's ASGI protocol of one request, whose messages an exchange takes note of."""

    __slots__ = ("exchange", "inner", "receive")

    def __init__(self, inner: Any, exchange: Exchange) -> None:
        self.inner = inner
        self.exchange = exchange
        self.receive = inner.receive

    def send(self, message: Any) -> Any:
        pending = self.inner.send(message)
        self.exchange.take(message)
        return pending

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Watcher:
    """Granian's watcher of one request, with another protocol."""

    __slots__ = ("done", "inner", "proto", "scope")

    def __init__(self, inner: Any, scope: Any, exchange: Exchange) -> None:
        self.inner = inner
        self.scope = scope
        self.proto = Proto(inner.proto, exchange)
        self.done = inner.done

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Seen(dict[str, Any]):
    """What tells clients apart, looked at where a share is taken: behind a proxy the client is the proxy's."""

    def __init__(self, gateway: Any, source: Any) -> None:
        super().__init__(headers=source["headers"])
        self.gateway = gateway
        self.source = source

    def get(self, name: str, default: Any = None) -> Any:
        source, forwarded = self.source, self.gateway.forwarded
        client = source["client"]
        if forwarded is not None:
            client, _ = forwarded(source["headers"], client, source["scheme"], False)
        return client if client and client[0] else default


def has_length(headers: Any) -> bool:
    """Whether a request has a body, which a copy of it needs."""
    for name, _ in headers:
        if name == b"content-length" or name == b"transfer-encoding":
            return True
    return False


class Way:
    """Chooses on Granian's threads between ``inner``, the app's direct way, and the gateway's."""

    def __init__(self, front: Migration, inner: Any, gateway: Any) -> None:
        self.front = front
        self.inner = inner
        self.gateway = gateway
        self.take = inner.take

    def schedule(self, watcher: Any) -> None:
        """Take one request or WebSocket. Must not raise."""
        try:
            watcher = self.look(watcher)
        except Exception as exc:
            self.gateway.log_error("A request could not be looked at\n", exc)
            self.gateway.schedule(watcher)
            return
        if type(watcher) is Watcher:
            self.inner.schedule(watcher)
        else:
            self.gateway.schedule(watcher)

    def look(self, watcher: Any) -> Any:
        """A watcher that takes note, for a request that the app answers itself; else the one that came."""
        source = watcher.scope
        front = self.front
        if source["type"] != "http":
            return watcher
        method, path = source["method"], source["path"]
        plan = front.plan
        side = plan.default if plan.plain else front.choose(plan, Seen(self.gateway, source), method, path)
        if side is not front.main:
            return watcher
        route = front.labels.find(method, path)
        copier = front.copier_for(plan, side, method, route)
        if copier is None:
            exchange = Exchange(front, side, route)
        elif has_length(source["headers"]):
            return watcher
        else:
            raw = {**source, "headers": source["headers"].copy()}
            exchange = Exchange(front, side, route, copier, raw, self.completed)
        source[SEEN] = exchange
        return Watcher(watcher, source, exchange)

    def completed(self, source: dict[str, Any]) -> dict[str, Any]:
        """The scope of a request as it came, for a copy of it."""
        gateway = self.gateway
        scope = complete_scope(source, gateway.root_path, {})
        if gateway.forwarded is not None:
            scope["client"], scope["scheme"] = gateway.forwarded(scope["headers"], scope["client"], scope["scheme"], False)
        return scope
