"""A worker's side of the gil lane: takes requests, hands each to the least busy lane process."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from typing import Any

from freelane.fastcore import wire
from freelane.fastcore.link import Link
from freelane.gil_lane.calls import Call, HTTPCall, WebSocketCall

logger = logging.getLogger("freelane.error")

# How often calls are looked at for their time and their client (seconds).
SWEEP = 0.05
PING = 1.0


class Lane:
    """One worker's connection to one lane process. Belongs to the loop's thread."""

    def __init__(self, client: LaneClient, process: Any, sock: socket.socket) -> None:
        self.client = client
        self.process = process
        self.load = process.loads[client.index]
        self.calls: dict[int, Call] = {}
        self.last = 0
        self.busy = 0
        self.ready = False
        self.alive = True
        self.pinged: float | None = None
        self.link = Link(client.loop, sock, wire.FROM_LANE, self.on_frame, self.on_closed)

    @property
    def free(self) -> bool:
        process = self.process
        # One that was killed may not be gone yet.
        return self.ready and self.busy < self.client.limit and not process.retired and not process.reason

    def open(self, call: Call, waited: float) -> int:
        """Give ``call`` a stream of this lane; returns its number."""
        self.last = last = self.last + 1
        self.calls[last] = call
        self.busy += 1
        load = self.load
        load.busy += 1
        load.requests += 1
        if waited:
            load.waited += waited
        if self.client.counted:
            self.process.count()
        return last

    def began(self, worked: float) -> None:
        """A call has its answer, or the beginning of it."""
        self.busy -= 1
        load = self.load
        load.busy -= 1
        load.worked += worked
        if self.client.queue:
            self.client.loop.call_soon(self.client.serve_queue)

    def on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            call = self.calls.get(stream)
            if call is not None:
                call.on_frame(kind, flags, payload)
            elif stream > self.last:
                raise wire.ProtocolError(f"stream {stream} never began")
        elif kind == wire.READY:
            self.ready = True
            self.process.on_ready()
            self.client.failure = None
            self.client.serve_queue()
        elif kind == wire.FAILED:
            self.process.on_failed(payload.decode("utf-8", "replace"))
        elif kind == wire.PONG:
            self.pinged = None
        else:
            raise wire.ProtocolError(f"a frame of kind {kind} without a stream")

    def on_closed(self, error: Exception | None) -> None:
        """The process is gone, or cannot be understood any more: what it had is lost."""
        self.alive = self.ready = False
        if error is not None:
            self.process.kill(f"its connection broke: {error}")
        calls = list(self.calls.values())
        self.process.lost += len(calls)
        self.client.lanes.remove(self)
        for call in calls:
            call.fail(self.process.loss_status(call))
        self.client.serve_queue()

    def sweep(self, now: float) -> None:
        """Look for calls that take too long, and for clients that left."""
        timeout = self.client.timeout
        for call in list(self.calls.values()):
            age = now - call.since
            if not call.begun and age > timeout:
                route = call.exchange.scope["path"]
                self.process.kill(f"{route} took longer than --gil-timeout {timeout:g}")
                call.fail(504)
            elif age > 2 * SWEEP:
                call.look_for_disconnect()

    def ping(self, now: float) -> None:
        """End a process that does nothing any more, for a background task that never returns."""
        if self.pinged is None:
            self.pinged = now
            self.link.write(wire.number_frame(wire.PING, 0, 0))
        elif now - self.pinged > self.client.timeout + PING:
            self.process.kill(f"it was busy for longer than --gil-timeout {self.client.timeout:g}")


class LaneClient:
    """What one worker has of the gil lane.

    ``gateway`` opens exchanges; ``limit`` is how many calls a lane process may work on for this
    worker at once, ``backlog`` how many may wait. ``submit``, ``attach`` and the rest belong to
    the loop's thread, which ``post`` leads to.
    """

    def __init__(self, index: int, gateway: Any, *, timeout: float, limit: int, backlog: int, counted: bool) -> None:
        self.index = index
        self.gateway = gateway
        self.loop: asyncio.AbstractEventLoop = gateway.loop
        # Runs ``callback(argument)`` on the loop, from any thread.
        self.post = gateway.lane.post
        self.timeout = timeout
        self.limit = limit
        # Whether processes are replaced after so many requests.
        self.counted = counted
        self.backlog = backlog
        self.lanes: list[Lane] = []
        self.queue: deque[Call] = deque()
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
            scope = exchange.scope
            if gateway.observed:
                scope["freelane.lane"] = ("gil", "gil")
            call = HTTPCall(self, exchange) if scope["type"] == "http" else WebSocketCall(self, exchange)
            call.start()
        except BaseException as exc:
            self.log_error("The request could not be understood\n", exc)
            watcher.done()

    def context(self) -> Any:
        return self.gateway.context.copy()

    def log_error(self, message: str, exc: BaseException) -> None:
        self.gateway.log_error(message, exc)

    def submit(self, call: Call) -> None:
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

    def forget(self, call: Call) -> None:
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
                lane.link.write(wire.frame(wire.GOAWAY, 0, 0, b""))

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
