"""A router's routes as a radix tree, in place of its scan from the first to the last."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from freelane.adapters.compat import versions
from freelane.adapters.compat.starlette_private import get_route_path
from freelane.adapters.starlette.plan import Entry, MountEntry
from freelane.adapters.starlette.reader import Reader, radix
from freelane.fastcore.routing.guard import Guard


class Table:
    """One reading of a router; constant once made. Without ``whole`` it ends before the first route that is dear to read."""

    def __init__(self, reader: Reader, router: Any, nested: Callable[[Any], Any], whole: bool = False) -> None:
        routes = router.routes
        limit = None if whole else next((index for index, route in enumerate(routes) if reader.is_dear(route)), None)
        self.whole = limit is None
        holders = list(reader.routers(router))
        # Made before the routes are read, so that one added meanwhile is noticed.
        self.guard = Guard(
            attributes=[
                (router, "middleware_stack", router.middleware_stack),
                *((holder, "routes", holder.routes) for holder in holders),
            ],
            watches=[versions.watch(reader.routing)],
            sizes=[(holder.routes, len(holder.routes)) for holder in holders],
        )
        try:
            self.rows = list(reader.rows(router, nested, limit))
        except Exception as exc:
            if not whole:
                raise
            # As the app is served already: its own code goes on with all of it.
            versions.tell(f"the routes cannot be read ({type(exc).__name__}: {exc})")
            self.rows = []
        self.match = radix(self.rows, lambda entry: entry)


class CompiledRouter:
    """An ASGI app that answers as ``router`` does.

    What the table does not hold goes to the router itself: redirects, 404 and 405, WebSockets,
    kinds of route that the reader does not know.
    """

    def __init__(self, reader: Reader, router: Any) -> None:
        self.reader = reader
        self.router = router
        # Guards the making of a new table; readers take the reference as it is.
        self.lock = threading.Lock()
        self.nested: dict[int, CompiledRouter] = {}
        self.table = Table(reader, router, self.compiled)

    def compiled(self, router: Any) -> CompiledRouter:
        """The compiled form of a router mounted in this one."""
        found = self.nested.get(id(router))
        if found is None:
            found = self.nested[id(router)] = CompiledRouter(self.reader, router)
        return found

    def find(self, method: str, path: str) -> tuple[Entry | MountEntry, dict[str, Any] | None] | None:
        """The entry that answers, with its path parameters; None if the router itself must."""
        table = self.table
        if not table.guard.holds():
            self.renew()
            return None
        try:
            found = table.match(method, path)
            if type(found) is not tuple and not table.whole:
                found = self.whole().match(method, path)
        except Exception:  # a user's convertor refused the value: the router itself says so
            return None
        return found if type(found) is tuple and found[0] is not None else None

    def whole(self) -> Table:
        """The table with every route; whoever needs one that was not read yet waits for it, as in the framework."""
        if not self.table.whole:
            with self.lock:
                if not self.table.whole:
                    self.table = Table(self.reader, self.router, self.compiled, whole=True)
        return self.table

    def renew(self) -> None:
        """Read the router again if it can be read, unless another thread is about to."""
        if self.lock.acquire(blocking=False):
            try:
                if self.reader.own_router(self.router):
                    self.table = Table(self.reader, self.router, self.compiled, self.table.whole)
            finally:
                self.lock.release()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and self.reader.routes_silently(scope):
            found = self.find(scope["method"], get_route_path(scope))
            if found is not None:
                entry, params = found
                if "router" not in scope:
                    scope["router"] = self.router
                if type(entry) is Entry:
                    if entry.unchanged():
                        entry.enter(scope, params)
                        await entry.plan.app(scope, receive, send)
                        return
                elif entry.enter(scope, params):
                    await entry.app(scope, receive, send)
                    return
        await self.router(scope, receive, send)

    def __getattr__(self, name: str) -> Any:
        # Whoever walks the app's layers (url_for, admin tools) finds the router.
        return getattr(self.router, name)
