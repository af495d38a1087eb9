"""A worker's side of the gil lane: takes requests, hands each to the least busy lane process."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from typing import Any

from freelane.fastcore.lane import protocol
from freelane.fastcore.lane.calls import HTTPCall, WebSocketCall
from freelane.fastcore.lane.client import PING, Lane
from freelane.fastcore.lane.turn import Turn
from freelane.gil_lane.parcels import Parcels

logger = logging.getLogger("freelane.error")

# How often calls are looked at for their time and their client (seconds).
SWEEP = 0.05


class LaneClient:
    """What one worker has of the gil lane.

    ``gateway`` opens exchanges, ``parcels`` packs what routes are given; ``limit`` is how many calls
    a lane process may work on for this worker at once, ``backlog`` how many may wait. ``submit``,
    ``attach`` and the rest belong to
    the loop's thread, which ``post`` leads to.
    """

    def __init__(
        self, index: int, gateway: Any, parcels: Parcels, *, timeout: float, limit: int, backlog: int, counted: bool
    ) -> None:
        self.index = index
        self.gateway = gateway
        self.parcels = parcels
        self.loop: asyncio.AbstractEventLoop = gateway.loop
        # Runs ``callback(argument)`` on the loop, from any thread.
        self.post = gateway.lane.post
        self.timeout = timeout
        self.limit = limit
        # Whether processes are replaced after so many requests.
        self.counted = counted
        self.backlog = backlog
        self.lanes: list[Lane] = []
        self.queue: deque[HTTPCall | WebSocketCall] = deque()
        self.failure: str | None = None
        self.refused = 0
        self.pings = 0.0
        self.timer = self.loop.call_later(SWEEP, self.sweep)

    def begin(self, watcher: Any) -> None:
        """Take the request of a Granian watcher."""
        gateway = self.gateway
        try:
            exchange = gateway.open(watcher.scope, watcher.proto)
            exchange.watcher = watcher
            self.take(exchange)
        except BaseException as exc:
            self.log_error("The request could not be understood\n", exc)
            watcher.done()

    def take(self, exchange: Any) -> None:
        """Take a request as it came, which the lane's process serves by the whole app."""
        note_lane(exchange.scope)
        call = HTTPCall if exchange.scope["type"] == "http" else WebSocketCall
        call(self, exchange).start()

    async def run_route(self, number: int, scope: Any, receive: Any, send: Any) -> None:
        """Run a route alone in a lane process, for a request that has come to it through the app's layers here."""
        note_lane(scope)
        turn = Turn(number, scope, receive, send, self.parcels)
        call = HTTPCall if scope["type"] == "http" else WebSocketCall
        await call(self, turn).take_turn()

    def context(self) -> Any:
        return self.gateway.context.copy()

    def log_error(self, message: str, exc: BaseException) -> None:
        self.gateway.log_error(message, exc)

    def submit(self, call: HTTPCall | WebSocketCall) -> None:
        """Hand ``call`` to a lane, now or when one is free, or refuse it."""
        if not self.queue and (lane := self.choose()) is not None:
            call.dispatch(lane)
        elif self.failure is not None or len(self.queue) >= self.backlog:
            self.refused += 1
            call.fail(503)
        else:
            call.waited = True
            self.queue.append(call)

    def choose(self) -> Lane | None:
        """The least busy lane that takes one more call."""
        if len(self.lanes) == 1:
            lane = self.lanes[0]
            return lane if lane.free else None
        best = None
        for lane in self.lanes:
            if lane.free and (best is None or lane.process.busy < best.process.busy):
                best = lane
        return best

    def serve_queue(self) -> None:
        while self.queue and (lane := self.choose()) is not None:
            self.queue.popleft().dispatch(lane)

    def forget(self, call: HTTPCall | WebSocketCall) -> None:
        """``call`` no longer waits."""
        try:
            self.queue.remove(call)
        except ValueError:
            pass

    def attach(self, item: tuple[Any, socket.socket]) -> None:
        """A lane process was started; ``sock`` is connected to it."""
        process, sock = item
        self.lanes.append(Lane(self, process, sock))

    def dismiss(self, process: Any) -> None:
        """``process`` is to finish what it has and go."""
        for lane in self.lanes:
            if lane.process is process:
                lane.link.write(protocol.frame(protocol.GOAWAY, 0, 0, b""))

    def fail(self, reason: str) -> None:
        """No lane process can be had for now: do not let anybody wait for one."""
        if not any(lane.ready for lane in self.lanes):
            self.failure = reason
            while self.queue:
                self.refused += 1
                self.queue[0].fail(503)

    def sweep(self) -> None:
        self.timer = self.loop.call_later(SWEEP, self.sweep)
        now = self.loop.time()
        for lane in list(self.lanes):
            if lane.calls:
                lane.sweep(now)
            if lane.ready and now - self.pings > PING:
                lane.ping(now)
        if now - self.pings > PING:
            self.pings = now
        while self.queue and now - self.queue[0].queued > self.timeout:
            self.refused += 1
            self.queue[0].fail(503)

    def close(self) -> None:
        """Let every lane go; what is under way is answered 502, what waits 503."""
        self.timer.cancel()
        while self.queue:
            self.queue[0].fail(503)
        for lane in list(self.lanes):
            lane.process.retired = True
            lane.link.close()


def note_lane(scope: Any) -> None:
    """For ``--show-lanes``, in the list that the gateway left."""
    if (note := scope.get("freelane.lane")) is not None:
        note[:] = ("gil", "gil")
