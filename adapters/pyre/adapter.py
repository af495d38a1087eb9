"""Serve a Pyre app on Granian's threads: `def` handlers here and now, `async def` ones straight on the loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from freelane.adapters import registry
from freelane.adapters.lane_route import Run
from freelane.adapters.pyre import asgi, serving, table, threads
from freelane.adapters.pyre.app import Pyre
from freelane.adapters.pyre.metrics import counters
from freelane.adapters.pyre.requests import DirectRequest
from freelane.adapters.pyre.responses import Answer, Headers
from freelane.adapters.pyre.streams import Channel
from freelane.adapters.route_model import RouteEntry, RouteTable, Served
from freelane.fastcore.asgi.http import HTTPExchange
from freelane.fastcore.routing.dispatcher import Call, Dispatcher
from freelane.fastcore.threads.loop_queue import LoopQueue

logger = logging.getLogger("freelane.pyre")

# Seconds between looks at what takes too long.
TICK = 1.0


class AdaptedPyre:
    """One worker's view of a Pyre app."""

    direct = True

    def __init__(self, app: Pyre, executor: Any, lane: Any) -> None:
        self.app = app
        self.executor = executor
        self.lane = lane
        app.loop = lane.loop
        threads.executors[lane.loop] = executor, lane
        serving.announce(app)
        for mount in app.mounts:
            # A mounted app's routes are compiled, and its `def` endpoints run on our executor, too.
            mount.app = registry.adapt(mount.app, executor, lane).app

    def bind(self, gateway: Any) -> DirectCalls | None:
        """The way past the loop; None over Granian's ASGI worker, which hands out bodies on the loop only."""
        return DirectCalls(self.app, self.executor, gateway) if gateway.rsgi else None


class PyreAdapter(registry.Adapter):
    """Apps of ``Pyre``."""

    marks_routes = True

    def knows(self, app: Any) -> bool:
        return isinstance(app, Pyre)

    def adapt(self, app: Any, executor: Any = None, lane: Any = None) -> registry.Adapted:
        return registry.Unchanged(app) if executor is None else AdaptedPyre(app, executor, lane)

    def rsgi_obstacle(self, app: Any) -> str:
        for path in app.websocket_routes():
            return f"RSGI cannot carry all of WebSocket, which {path} uses"
        for mount in app.mounts:
            if inner := registry.rsgi_obstacle(mount.app):
                return f"{inner}; one is mounted at {mount.path or '/'}"
        return ""

    def route_table(self, app: Any) -> RouteTable:
        return table.route_table(app)

    def landmarks(self, app: Any) -> list[Any]:
        return [app, *(mark for mount in app.mounts for mark in registry.adapter_of(mount.app).landmarks(mount.app))]

    def place(self, entry: RouteEntry, find: Callable[[], Run | None]) -> None:
        entry.route.elsewhere = find
        entry.owner.changed()

    def describe(self, app: Any) -> list[Served]:
        return list(table.served(app))

    def share_state(self, app: Any) -> str | None:
        return table.share(app)

    def join_state(self, app: Any, url: str | None) -> None:
        table.join(app, url)


class AsyncCall:
    """A request that runs on the loop, as shutdown and the time limit see it."""

    __slots__ = ("task", "call")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.task: asyncio.Task[None] | None = None


class DirectCalls:
    """Requests of one gateway over RSGI; owns its dispatcher.

    The dispatcher's ``ticks`` are seconds, give or take one: a clock that costs nothing to read.
    """

    def __init__(self, app: Pyre, executor: Any, gateway: Any) -> None:
        self.app = app
        self.gateway = gateway
        self.lane: LoopQueue = gateway.lane
        self.running: set[AsyncCall] = set()  # of the loop's thread only
        self.dispatcher = Dispatcher(gateway, self, executor=executor)
        self.schedule = self.dispatcher.schedule
        self.renew()
        counters.dispatchers.append(self.dispatcher)
        gateway.loop.call_later(TICK, self.tick)

    def take(self, exchange: Any) -> None:
        """A request whose task is about to start: the app's own callable answers it."""

    # -- on Granian's thread

    def renew(self) -> None:
        """Something was registered: take the pipeline that knows of it."""
        self.dispatcher.publish(self.app.pipeline.table)

    def stream(self, call: Call, status: int, headers: Headers, body: Any) -> None:
        self.respond(call, Answer(status, headers, body))

    def refuse(self, call: Call) -> None:
        counters.drop()
        self.respond(call, self.with_cors(call, asgi.OVERLOADED))

    def respond(self, call: Call, answer: Answer) -> None:
        """Send an answer from any thread; a stream goes to the loop."""
        status, headers, body = answer
        if not isinstance(body, Channel):
            call.respond(status, headers, body)
        elif not call.claim() or not self.lane.post(self.start_stream, (call, answer)):
            body.close(gone=True)

    def with_cors(self, call: Call, answer: Answer) -> Answer:
        cors = self.app.cors
        if cors is None:
            return answer
        return answer._replace(headers=cors.apply(DirectRequest(call), answer.headers))

    # -- on the loop

    def start(self, call: Call) -> None:
        """Begin a request that needs the loop."""
        running = AsyncCall(call)
        # Before the first step, which may be the last as well.
        self.running.add(running)
        self.gateway.active.add(running)
        context = self.gateway.context.copy()
        running.task = asyncio.Task(self.run(running), loop=self.gateway.loop, eager_start=True, context=context)

    async def run(self, running: AsyncCall) -> None:
        call = running.call
        counters.slot().requests += 1
        try:
            pipeline = self.app.pipeline
            route = call.target
            runner = self.app.gil_thread.run if route.gil and not route.is_async else threads.on_thread
            try:
                answer = await pipeline.answer_async(route, DirectRequest(call), runner)
            except threads.Overloaded:
                counters.drop()
                answer = self.with_cors(call, asgi.OVERLOADED)
            self.respond(call, answer)
        except asyncio.CancelledError:
            self.respond(call, self.with_cors(call, asgi.OVERLOADED))  # the server stops
        except BaseException as exc:
            self.gateway.log_error("A request could not be answered\n", exc)
            call.claim()
            call.watcher.done()
        finally:
            self.running.discard(running)
            self.gateway.active.discard(running)
            running.task = None

    def start_stream(self, started: tuple[Call, Answer]) -> None:
        """Stream an answer through an ASGI exchange, which paces it and sees the client leave."""
        call, answer = started
        stream = self.gateway.open(call.source, call.watcher.proto)
        assert isinstance(stream, HTTPExchange)
        if call.body:
            stream.body_was_read()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asgi.send_answer(answer, scope, receive, send)

        stream.app = app
        stream.watcher = call.watcher
        stream.start(self.gateway.context.copy())

    def tick(self) -> None:
        """Answer 504 for what has taken longer than the app allows."""
        self.dispatcher.ticks += 1
        self.gateway.loop.call_later(TICK, self.tick)
        latest = self.dispatcher.ticks - self.app.timeout / TICK
        for running in [running for running in self.running if running.call.began < latest]:
            self.time_out(running.call)
            if running.task is not None:
                running.task.cancel()
        for call in self.dispatcher.running():
            if call.began < latest:
                self.time_out(call)

    def time_out(self, call: Call) -> None:
        status, headers, body = self.with_cors(call, asgi.TIMED_OUT)
        assert isinstance(body, bytes)
        if call.respond(status, headers, body):
            counters.drop()
