"""The direct way from the server to the endpoints of an app with nothing of its own around them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from freelane.adapters.compat import versions
from freelane.adapters.starlette import stack
from freelane.adapters.starlette.answers import Answer, Answers
from freelane.adapters.starlette.inside import make_node
from freelane.adapters.starlette.plan import Entry
from freelane.adapters.starlette.reader import Reader, radix
from freelane.adapters.starlette.routing import CompiledRouter
from freelane.adapters.starlette.sections import Rest
from freelane.adapters.starlette.threads import ThreadCalls, overloaded
from freelane.fastcore.asgi.http import HTTPExchange
from freelane.fastcore.routing.dispatcher import Call, Dispatcher, Table, Target
from freelane.fastcore.routing.guard import Guard
from freelane.fastcore.routing.targets import ASGITarget, LaneTarget


class Direct:
    """Keeps one gateway's dispatcher supplied with the targets of ``app``'s routes."""

    def __init__(self, app: Any, reader: Reader, router: CompiledRouter, calls: ThreadCalls | None, gateway: Any) -> None:
        self.app = app
        self.router = router
        self.stack = app.middleware_stack
        self.parts = stack.parts(app, reader)
        attributes, names = stack.marks(self.parts)
        self.marks = (*reader.marks(app), *attributes)
        self.watch = versions.watch((*reader.around, *reader.watched_globals, *names))
        root_path = reader.root_path(app)
        # What the scope has of the app's: from the beginning, and around its router.
        self.outer = {"app": app, "root_path": gateway.root_path or root_path}
        self.inner = {"router": app.router, "starlette.exception_handlers": stack.handlers(app)}
        self.answers = Answers(self.parts[-1], gateway, calls)
        # Guards the making of a new table.
        self.lock = threading.Lock()
        executor = None if calls is None else calls.executor
        self.dispatcher = Dispatcher(gateway, self, executor=executor, root_path=root_path)
        self.schedule = self.dispatcher.schedule
        self.take = self.dispatcher.take
        self.publish()

    def publish(self) -> None:
        self.table = table = self.router.table
        attributes = [(self.app, "middleware_stack", self.stack), *self.marks, *table.guard.attributes]
        guard = Guard(attributes, table.guard.sizes, watches=[self.watch, *table.guard.watches])
        self.match = radix(table.rows, self.target)
        self.dispatcher.publish(Table(guard, self.match if table.whole else self.match_first(self.match)))

    def match_first(self, match: Callable[[str, str], Any]) -> Callable[[str, str], Any]:
        """``match`` of a table that is not whole: what is not in it has the rest read, and is looked for there."""

        def matched(method: str, path: str) -> Any:
            found = match(method, path)
            return found if type(found) is tuple else self.whole()(method, path)

        return matched

    def whole(self) -> Callable[[str, str], Any]:
        """The match function of the whole table; whoever comes before it is there waits for it."""
        with self.lock:
            if not self.table.whole:
                self.router.whole()
                self.publish()
            return self.match

    def target(self, entry: Any) -> Target | None:
        if type(entry) is not Entry:
            return None
        own, plan = entry.guard, entry.plan.guard
        guard = Guard(own.attributes + plan.attributes, own.sizes + plan.sizes, own.places, own.absent, plan.watches)
        if entry.plan.lane == "gil" and len(self.parts) == 1:
            return LaneTarget(guard)
        if len(self.parts) > 1:
            return ASGITarget(guard, self.outer, self.dispatched_answer(entry))
        return ASGITarget(
            guard,
            {**self.outer, **self.inner, **entry.constants},
            self.answers.layered_answer(entry),
            self.answers.layered_serve(entry),
            fresh=entry.fresh or None,
            body=entry.plan.body,
        )

    def dispatched_answer(self, entry: Entry) -> Answer:
        """As ``Answers.answer``, behind middleware with a ``dispatch``."""
        node = make_node(entry, self.parts, self.inner, self.answers.on_loop(entry.plan))

        async def answer(exchange: HTTPExchange) -> None:
            scope = exchange.scope
            # The middleware does not see what routing found.
            params = dict.pop(scope, "path_params")
            found = await node(scope, exchange.receive, exchange.send, params)
            if type(found) is Rest:
                app = found.app
            elif exchange.respond_now(found.status, found.headers, found.body):  # type: ignore[union-attr]
                if found.end is not None and (left := await found.end(None)) is not None:  # type: ignore[union-attr]
                    raise left
                return
            else:
                app = found.again  # type: ignore[union-attr]
            await app(scope, exchange.receive, exchange.send)

        return answer

    def renew(self) -> None:
        """Read the routes again if they changed, unless another thread is about to."""
        if self.lock.acquire(blocking=False):
            try:
                if not self.router.table.guard.holds():
                    self.router.renew()
                    self.publish()
                elif self.table is not self.router.table:
                    self.publish()
            finally:
                self.lock.release()

    def refuse(self, call: Call) -> None:
        """Answer what finds no thread and no place in the queue."""
        response = overloaded()
        exchange = call.gateway.open(call.source, call.proto)
        assert isinstance(exchange, HTTPExchange)
        exchange.respond_now(response.status_code, response.raw_headers, bytes(response.body))
