"""What is inside middleware that is not known, compiled: it runs as it is, and the layers inside it are not gone through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from freelane.adapters.compat.starlette_private import get_route_path
from freelane.adapters.starlette.answers import Outcome, is_plain
from freelane.adapters.starlette.plan import Entry, Plan
from freelane.adapters.starlette.reader import Reader
from freelane.adapters.starlette.routing import CompiledRouter
from freelane.adapters.starlette.sections import Endpoint, Node, Part, Rest, Section
from freelane.adapters.starlette.threads import on_any_thread
from freelane.fastcore.routing.guard import Guard


def make_node(entry: Entry, parts: Iterable[Part], constants: dict[str, Any], call: Any) -> Section:
    """An endpoint, called by ``call``, behind the layers of ``parts``, the outermost first."""
    node: Node = Endpoint(entry, call, constants, Outcome, is_plain)
    for part in reversed(list(parts)):
        section = node = Section(node, part.chain, part.behind, part.itself)
        if part.divider is not None:
            node = part.divider.node(part.divider.layer, node)
    return section


def on_loop(plan: Plan) -> Any:
    """The plan's call as a coroutine function, for whichever loop runs it."""
    return on_any_thread(plan.call) if plan.call is not None and plan.lane == "free" else plan.call


class Inside:
    """An ASGI app that answers as ``app`` does, which is the layers of ``parts`` around ``router``.

    ``guard`` holds while those layers are what they were.
    """

    def __init__(
        self, app: Any, reader: Reader, router: CompiledRouter, parts: list[Part], constants: dict[str, Any], guard: Guard
    ) -> None:
        self.app = app
        self.reader = reader
        self.router = router
        self.parts = parts
        self.constants = constants
        self.guard = guard
        # A reading of the routes, and what answers the requests of each entry of it; filled as they come.
        self.nodes: tuple[Any, dict[Entry, Section]] = router.table, {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or "router" in scope or not (self.guard.holds() and self.reader.routes_silently(scope)):
            await self.app(scope, receive, send)
            return
        found = self.router.find(scope["method"], get_route_path(scope))
        entry: Any = None if found is None else found[0]
        if found is None or type(entry) is not Entry or not entry.unchanged():
            await self.app(scope, receive, send)
            return
        table, nodes = self.nodes
        if table is not self.router.table:
            nodes = {}
            self.nodes = self.router.table, nodes
        section = nodes.get(entry)
        if section is None:
            section = nodes[entry] = make_node(entry, self.parts, self.constants, on_loop(entry.plan))
        outcome = await section(scope, receive, send, found[1])
        if type(outcome) is Rest:
            await outcome.app(scope, receive, send)
            return
        whole: Any = outcome
        error: BaseException | None = None
        try:
            await send({"type": "http.response.start", "status": whole.status, "headers": whole.headers})
            if whole.streamed:
                if whole.body:
                    await send({"type": "http.response.body", "body": whole.body, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await send({"type": "http.response.body", "body": whole.body})
        except BaseException as exc:
            error = exc
        left = error if whole.end is None else await whole.end(error)
        if left is not None and left is error:
            left = await section.tell(left, whole.status, whole.leave, scope, receive)
        if left is not None:
            raise left
