"""The ASGI app that stands before all sides: chooses who answers, counts, and has copies made."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from freelane.errors import StartupError
from freelane.migration.answers import CRASHED, MOST, Kept
from freelane.migration.copies import ANOTHER, Copier, Copy
from freelane.migration.counters import OUTCOMES, Counters
from freelane.migration.labels import Labels
from freelane.migration.plan import Moves, Plan, Start, Sticky
from freelane.migration.sides import MainSide, Side, Unreachable, own
from freelane.server.lifespan import Lifespan

logger = logging.getLogger("freelane.error")


class Migration:
    """``app`` is the app that is served; ``others`` the further sides, which start with the first loop and end with the last.

    ``plan`` is swapped as one reference. ``lock`` guards ``lifespans``.
    """

    def __init__(
        self, app: Any, main: MainSide, others: Sequence[Side], start: Start, sticky: Sticky, counters: Counters,
        copier: Copier | None, lifespan: str, beside: Sequence[Any] = (),
    ) -> None:  # fmt: skip
        self.app = app
        self.main = main
        self.others = others
        self.begin = start
        self.plan: Plan = start.moved(Moves())
        self.sticky = sticky
        self.counters = counters
        self.copier = copier
        self.wanted = lifespan
        # What runs beside the requests, with start() and stop(): the file's watch, the page.
        self.beside = beside
        # Read again once the app has started, which may add routes.
        self.labels = Labels((), ())
        self.lock = threading.Lock()
        self.lifespans: dict[asyncio.AbstractEventLoop, Lifespan] = {}
        self.revivals: set[asyncio.Task[None]] = set()

    @property
    def sides(self) -> list[Any]:
        """All that can answer, the served app first."""
        return [self.main, *self.others]

    @property
    def state(self) -> Any:
        """The served app's, for who looks whether loops would share it."""
        return getattr(self.app, "state", None)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.run_lifespan(scope, receive, send)
        else:
            await self.answer(self.app, scope, receive, send)

    def move(self, moves: Moves) -> None:
        """Answer by ``moves`` from the next request on. Raises ConfigError."""
        self.plan = self.begin.moved(moves)

    # The lifespan of all sides.

    async def run_lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await self.startup(scope.get("state", {}))
        except StartupError as exc:
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        stopped = False
        try:
            await send({"type": "lifespan.startup.complete"})
            await receive()
            stopped = True
            failed = not await self.shutdown()
        finally:
            if not stopped:  # cancelled: nobody asks for an end
                await self.shutdown()
        await send({"type": f"lifespan.shutdown.{'failed' if failed else 'complete'}"})

    async def startup(self, state: dict[str, Any]) -> None:
        """Raises StartupError, once nothing of it runs."""
        lifespan = Lifespan(self.app)
        lifespan.state = state
        if self.wanted != "off":
            await lifespan.startup(required=self.wanted == "on")
        with self.lock:
            first = not self.lifespans
            self.lifespans[asyncio.get_running_loop()] = lifespan
        if not first:
            return
        started: list[Any] = []
        try:
            for part in (*self.others, *self.beside):
                await part.start()
                started.append(part)
        except BaseException:
            with self.lock:
                del self.lifespans[asyncio.get_running_loop()]
            for part in reversed(started):
                await part.stop()
            await lifespan.shutdown()
            raise
        apps = [self.app, *(side.app for side in self.others if hasattr(side, "app"))]
        self.labels = Labels(apps, [rule.pattern for rule in self.begin.rules])

    async def shutdown(self) -> bool:
        """All sides end; False if the app's own shutdown failed."""
        with self.lock:
            lifespan = self.lifespans.pop(asyncio.get_running_loop(), None)
            last = not self.lifespans
        if lifespan is None:
            return True
        if last and self.copier is not None:
            await self.copier.side.copier.run(self.copier.finish(1.0))
        good = await lifespan.shutdown()
        if last:
            for part in reversed((*self.others, *self.beside)):
                try:
                    await part.stop()
                except Exception:
                    logger.exception("%s did not end well.", part)
        else:
            for side in self.others:
                if (close := getattr(side, "close", None)) is not None:
                    await close()
        return good

    # Requests.

    async def answer(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """``app`` is the served app as this loop calls it."""
        if (seen := scope.pop("freelane.migration", None)) is not None:
            try:
                await app(scope, receive, send)
            except BaseException as exc:
                seen.fail(isinstance(exc, Exception))
                raise
            return
        websocket = scope["type"] == "websocket"
        method = "GET" if websocket else scope["method"]
        path = scope["path"]
        if root := scope.get("root_path"):
            path = path.removeprefix(root) or "/"
        plan = self.plan
        side = self.choose(plan, scope, method, path)
        if websocket:
            await self.call(side, plan.default, app, scope, receive, send)
            self.counters.answered("WebSocket", side.name, "closed", 0.0)
            return
        route = self.labels.find(method, path)
        copier = self.copier_for(plan, side, method, route)
        exchange = Exchange(self, side, route, copier, None if copier is None else own(scope), None)
        passed, send = exchange.between(receive, send)
        try:
            await self.call(side, plan.default, app, scope, passed, send, exchange)
        except BaseException as exc:
            exchange.fail(isinstance(exc, Exception))
            raise
        exchange.fail(True)

    def copier_for(self, plan: Plan, side: Any, method: str, route: str) -> Copier | None:
        """What copies this request; None where it is not copied."""
        copier = self.copier
        if copier is None or not plan.shadow or copier.side is side or not copier.wants(method) or not copier.room(route):
            return None
        return copier

    def choose(self, plan: Plan, scope: Any, method: str, path: str) -> Any:
        """The side that answers. ``scope`` needs headers and client alone, for a rule that takes a share."""
        rule = plan.rule(method, path)
        if rule is None or not rule.share or rule.share < 1 and self.sticky.place(scope) >= rule.share:
            return plan.default
        if rule.side is not plan.default and not rule.side.budget.open():
            return plan.default
        return rule.side

    async def call(
        self, side: Any, default: Any, app: Any, scope: Any, receive: Any, send: Any, exchange: Exchange | None = None
    ) -> None:
        if side is self.main:
            await app(scope, receive, send)
            return
        try:
            await side.call(scope, receive, send)
        except Unreachable:
            if side is not default:
                side.budget.note(True)
            task = asyncio.create_task(side.revive())
            self.revivals.add(task)
            task.add_done_callback(self.revivals.discard)
            if side is default:
                await bad_gateway(scope, receive, send)
                return
            if exchange is not None:
                exchange.side = default
            await self.call(default, default, app, scope, receive, send, exchange)


class Exchange:
    """One request on its way: what its response is, until it has ended.

    ``scope`` is what ``copier`` is given, by way of ``complete`` where it is as the server had it.
    """

    __slots__ = ("began", "body", "complete", "copier", "done", "front", "kept", "route", "scope", "side", "size")

    def __init__(
        self, front: Migration, side: Any, route: str, copier: Copier | None = None, scope: Any = None,
        complete: Callable[[Any], Any] | None = None,
    ) -> None:  # fmt: skip
        self.front = front
        self.side = side
        self.route = route
        self.copier = copier
        self.scope = scope
        self.complete = complete
        self.done = False
        self.began = time.monotonic()
        self.kept = Kept()
        # What the app reads of the request, where a copy needs it.
        self.body: list[bytes] | None = None
        self.size = 0
        if copier is None:
            self.kept.lost = "not wanted"

    def between(self, receive: Any, send: Any) -> tuple[Any, Any]:
        """``receive`` and ``send`` with a look at what they carry."""

        async def sending(message: Any) -> None:
            await send(message)
            self.take(message)

        if self.scope is None or not any(
            name in (b"content-length", b"transfer-encoding") for name, _ in self.scope["headers"]
        ):
            return receive, sending
        parts: list[bytes] = []
        self.body = parts

        async def receiving() -> Any:
            message = await receive()
            if message["type"] == "http.request" and (part := message.get("body")):
                self.size += len(part)
                if self.size <= MOST:
                    parts.append(part)
            return message

        return receiving, sending

    def take(self, message: Any) -> None:
        """A message of the response, which was sent."""
        kept = self.kept
        if self.copier is not None:
            kept.take(message)
        elif message["type"] == "http.response.start":
            kept.status = message["status"]
        else:
            kept.whole = not message.get("more_body", False)
        if kept.whole and not self.done:
            self.finish()

    def fail(self, crashed: bool) -> None:
        """The app has returned, or raised; ``crashed`` where nobody told it to end."""
        if self.done:
            return
        if self.kept.status or not crashed or self.kept.lost:
            self.copier = None
        self.finish("error" if crashed else "left")

    def finish(self, outcome: str = "") -> None:
        self.done = True
        status = self.kept.status
        outcome = outcome or OUTCOMES[status // 100]
        self.front.counters.answered(self.route, self.side.name, outcome, time.monotonic() - self.began)
        # The default is never switched off, for nobody else could answer.
        if outcome != "left" and self.side is not self.front.begin.default:
            self.side.budget.note(status >= 500 or outcome == "error")
        copier = self.copier
        if copier is None or copier.side is self.side:
            return
        if self.kept.lost or self.size > MOST:
            self.front.counters.copied(self.route, ANOTHER)
            return
        answer = CRASHED if outcome == "error" else self.kept.answer()
        copier.offer(Copy(self.route, self.scope, b"".join(self.body or ()), self.side.name, answer, self.complete))


async def bad_gateway(scope: Any, receive: Any, send: Any) -> None:
    """The side that alone could answer is not there."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1013})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"11")]
    await send({"type": "http.response.start", "status": 502, "headers": headers})
    await send({"type": "http.response.body", "body": b"Bad Gateway"})
