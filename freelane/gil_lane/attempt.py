"""A request that only the app's own routing shows to be the gil lane's: below a path that a middleware rewrote."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from freelane.fastcore.lane.calls import HTTPCall

# Bytes of a body that are kept until the route is known.
KEPT = 16 << 20


class Attempt:
    """One HTTP request on its way through the app's own layers, in the main process.

    The compiled router asks ``found`` before an endpoint runs. For one of the lane's, what ran
    of the request here is cancelled, as if the client had gone away, and it begins again in the
    lane, with the scope and the body that it came with. Belongs to the loop's thread.
    """

    def __init__(self, client: Any, takes: Callable[[Any], bool], exchange: Any) -> None:
        self.client = client
        self.takes = takes
        self.exchange = exchange
        self.app = exchange.app
        self.task: asyncio.Task[Any] | None = None
        self.decided = False
        self.handed_over = False
        self.started = False
        self.body: list[bytes] | None = []
        self.size = 0
        self.ended = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        original = dict(scope)
        original["headers"] = list(scope["headers"])
        scope["freelane.attempt"] = self
        self.task = asyncio.current_task()
        try:
            result = await self.app(scope, self.receive, self.send)
        except BaseException:
            if not self.handed_over:
                raise
        if not self.handed_over:
            return result
        assert self.task is not None
        self.task.uncancel()
        scope.clear()
        scope.update(original)
        scope["freelane.lane"] = ("gil", "gil")
        return await HTTPCall(self.client, self.exchange).take_over(self.again())

    async def found(self, route: Any) -> None:
        """The app's routing has found ``route``. Does not return for one of the lane's."""
        if self.decided:
            return
        self.decided = True
        if not self.takes(route):
            self.body = None
            return
        if self.started or self.body is None:
            raise RuntimeError(
                "A route of the gil lane was found after its request was answered in part, or more than "
                f"{KEPT >> 20} MiB of it were read: name its public path in `gil` of [tool.freelane]."
            )
        self.handed_over = True
        if asyncio.current_task() is not self.task and self.task is not None:
            self.task.cancel()
        raise asyncio.CancelledError

    async def receive(self) -> Any:
        if self.handed_over:
            return {"type": "http.disconnect"}
        message = await self.exchange.receive()
        if self.body is not None and message["type"] == "http.request":
            self.size += len(message["body"])
            self.body.append(message["body"])
            self.ended = not message["more_body"]
            if self.size > KEPT:
                self.body = None
        return message

    async def send(self, message: Any) -> None:
        if not self.handed_over:
            self.started = True
            await self.exchange.send(message)

    def again(self) -> Callable[[], Any]:
        """``receive`` from the beginning."""
        kept = b"".join(self.body or ())
        rest = [{"type": "http.request", "body": kept, "more_body": not self.ended}] if self.body else []

        async def receive() -> Any:
            return rest.pop() if rest else await self.exchange.receive()

        return receive
