"""Serve a Pyre app on Granian's threads: `def` handlers here and now, `async def` ones straight on the loop."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from freelane.adapters import registry
from freelane.adapters.pyre import asgi, serving, table, threads
from freelane.adapters.pyre.app import Pyre
from freelane.adapters.pyre.metrics import counters
from freelane.adapters.pyre.requests import DirectRequest
from freelane.adapters.pyre.responses import Answer, Headers
from freelane.adapters.pyre.streams import Channel
from freelane.adapters.route_model import RouteTable, Served
from freelane.fastcore.asgi.http import HTTPExchange
from freelane.fastcore.routing.direct import DirectDispatcher, DirectExchange
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

    def describe(self, app: Any) -> list[Served]:
        return list(table.served(app))

    def share_state(self, app: Any) -> str | None:
        return table.share(app)

    def join_state(self, app: Any, url: str | None) -> None:
        table.join(app, url)


class AsyncCall:
    """A request that runs on the loop, as shutdown and the time limit see it."""

    __slots__ = ("task", "exchange")

    def __init__(self, exchange: DirectExchange) -> None:
        self.exchange = exchange
        self.task: asyncio.Task[None] | None = None


class DirectCalls(DirectDispatcher):
    """Requests of one gateway over RSGI. ``ticks`` are seconds, give or take one: a clock that costs nothing to read."""

    def __init__(self, app: Pyre, executor: Any, gateway: Any) -> None:
        self.app = app
        self.lane: LoopQueue = gateway.lane
        self.calls: set[AsyncCall] = set()  # of the loop's thread only
        counters.dispatchers.append(self)
        gateway.loop.call_later(TICK, self.tick)

    def take(self, exchange: Any) -> None:
        """A request whose task is about to start: the app's own callable answers it."""

    # -- on Granian's thread

    def stream(self, exchange: DirectExchange, status: int, headers: Headers, body: Any) -> None:
        self.respond(exchange, Answer(status, headers, body))

    def refuse(self, exchange: DirectExchange) -> None:
        counters.drop()
        self.respond(exchange, self.with_cors(exchange, asgi.OVERLOADED))

    def respond(self, exchange: DirectExchange, answer: Answer) -> None:
        """Send an answer from any thread; a stream goes to the loop."""
        status, headers, body = answer
        if not isinstance(body, Channel):
            exchange.respond(status, headers, body)
        elif not exchange.claim() or not self.lane.post(self.start_stream, (exchange, answer)):
            body.close(gone=True)

    def with_cors(self, exchange: DirectExchange, answer: Answer) -> Answer:
        cors = self.app.cors
        if cors is None:
            return answer
        return answer._replace(headers=cors.apply(DirectRequest(exchange), answer.headers))

    # -- on the loop

    def start(self, exchange: DirectExchange) -> None:
        """Begin a request that needs the loop."""
        call = AsyncCall(exchange)
        # Before the first step, which may be the last as well.
        self.calls.add(call)
        self.gateway.active.add(call)
        call.task = asyncio.Task(self.run(call), loop=self.gateway.loop, eager_start=True, context=self.gateway.context.copy())

    async def run(self, call: AsyncCall) -> None:
        exchange = call.exchange
        counters.slot().requests += 1
        try:
            pipeline = self.app.pipeline
            route = exchange.target
            runner = self.app.gil_thread.run if route.gil and not route.is_async else threads.on_thread
            try:
                answer = await pipeline.answer_async(route, DirectRequest(exchange), runner)
            except threads.Overloaded:
                counters.drop()
                answer = self.with_cors(exchange, asgi.OVERLOADED)
            self.respond(exchange, answer)
        except asyncio.CancelledError:
            self.respond(exchange, self.with_cors(exchange, asgi.OVERLOADED))  # the server stops
        except BaseException as exc:
            self.gateway.log_error("A request could not be answered\n", exc)
            exchange.claim()
            exchange.watcher.done()
        finally:
            self.calls.discard(call)
            self.gateway.active.discard(call)
            call.task = None

    def start_stream(self, started: tuple[DirectExchange, Answer]) -> None:
        """Stream an answer through an ASGI exchange, which paces it and sees the client leave."""
        exchange, answer = started
        stream = self.gateway.open(exchange.source, exchange.watcher.proto)
        assert isinstance(stream, HTTPExchange)
        if exchange.body:
            stream.body_was_read()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asgi.send_answer(answer, scope, receive, send)

        stream.app = app
        stream.watcher = exchange.watcher
        stream.start(self.gateway.context.copy())

    def tick(self) -> None:
        """Answer 504 for what has taken longer than the app allows."""
        self.ticks += 1
        self.gateway.loop.call_later(TICK, self.tick)
        latest = self.ticks - self.app.timeout / TICK
        for call in [call for call in self.calls if call.exchange.began < latest]:
            self.time_out(call.exchange)
            if call.task is not None:
                call.task.cancel()
        for exchange in self.running():
            if exchange.began < latest:
                self.time_out(exchange)

    def time_out(self, exchange: DirectExchange) -> None:
        status, headers, body = self.with_cors(exchange, asgi.TIMED_OUT)
        assert isinstance(body, bytes)
        if exchange.respond(status, headers, body):
            counters.drop()
