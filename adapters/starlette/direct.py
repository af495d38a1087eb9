"""The direct way from the server to the endpoints of an app with nothing of its own around them."""

from __future__ import annotations

import threading
from typing import Any

from freelane.adapters.compat import versions
from freelane.adapters.starlette import stack
from freelane.adapters.starlette.answers import Answers, continue_scope
from freelane.adapters.starlette.plan import Entry
from freelane.adapters.starlette.reader import Reader, radix
from freelane.adapters.starlette.routing import CompiledRouter
from freelane.adapters.starlette.threads import ThreadCalls, overloaded
from freelane.fastcore.routing.dispatcher import Dispatcher, Guard, Table, Target


class Direct:
    """Keeps one gateway's dispatcher supplied with the targets of ``app``'s routes."""

    def __init__(self, app: Any, reader: Reader, router: CompiledRouter, calls: ThreadCalls | None, gateway: Any) -> None:
        self.app = app
        self.router = router
        self.stack = app.middleware_stack
        self.layers = stack.users(app, reader)
        self.marks = (*reader.marks(app), *(self.layers.marks if self.layers else ()))
        self.watch = versions.watch((*reader.around, *reader.watched_globals, *(self.layers.names if self.layers else ())))
        root_path = reader.root_path(app)
        self.constants = {
            "app": app,
            "router": app.router,
            "root_path": gateway.root_path or root_path,
            "starlette.exception_handlers": stack.handlers(app),
        }
        self.answers = Answers(stack.entered_behind(app, continue_scope), gateway, calls, self.layers)
        # Guards the making of a new table.
        self.lock = threading.Lock()
        self.dispatcher = Dispatcher(
            gateway,
            executor=None if calls is None else calls.executor,
            root_path=root_path,
            renew=self.renew,
            busy=busy,
        )
        self.schedule = self.dispatcher.schedule
        self.take = self.dispatcher.take
        self.publish()

    def publish(self) -> None:
        table = self.router.table
        attributes = [(self.app, "middleware_stack", self.stack), *self.marks, *table.guard.attributes]
        guard = Guard(attributes, table.guard.sizes, watches=[self.watch, *table.guard.watches])
        self.dispatcher.publish(Table(guard, radix(table.rows, self.target)))

    def target(self, entry: Any) -> Target | None:
        if type(entry) is not Entry:
            return None
        own, plan = entry.guard, entry.plan.guard
        guard = Guard(own.attributes + plan.attributes, own.sizes + plan.sizes, own.places, own.absent, plan.watches)
        return Target(
            guard,
            {**self.constants, **entry.constants},
            self.answers.layered_answer(entry),
            self.answers.layered_serve(entry),
            fresh=entry.fresh or None,
            body=entry.plan.body,
        )

    def renew(self) -> None:
        """Read the routes again if they changed, unless another thread is about to."""
        if self.lock.acquire(blocking=False):
            try:
                if not self.router.table.guard.holds():
                    self.router.renew()
                    self.publish()
            finally:
                self.lock.release()


def busy(watcher: Any) -> tuple[int, Any, bytes]:
    response = overloaded()
    return response.status_code, response.raw_headers, bytes(response.body)
