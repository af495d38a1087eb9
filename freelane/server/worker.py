"""A worker: serves an app on one socket through Granian, with a runtime of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from freelane.fastcore.asgi import websocket
from freelane.fastcore.asgi.gateway import Gateway
from freelane.fastcore.asgi.head import HeadCheck
from freelane.fastcore.asgi.websocket import WebSocketExchange
from freelane.gil_lane import gil_watch
from freelane.server import granian, scheduling, shutdown
from freelane.server.forwarded import ForwardedHeaders
from freelane.server.front import Front
from freelane.server.memory import resident_bytes
from freelane.server.observer import make_observer
from freelane.server.overdue import Overdue
from freelane.server.runtime import Runtime
from freelane.server.sockets import CONNECTIONS
from freelane.server.tcp_info import Connections
from freelane.settings import Settings
from freelane.settings.tls import PrivateKey, client_authorities, private_key, verifies

if TYPE_CHECKING:
    from freelane.gil_lane.client import LaneClient
    from freelane.gil_lane.lane import GilLane
    from freelane.server.metrics import Lag, Recorder

logger = logging.getLogger("freelane.error")

# Granian's blocking threads beyond those that may be busy with `def` endpoints: they hand
# requests over to the loop, which must never wait for an endpoint.
RESERVE = 1
# A worker that is succeeded ends once no request came for so long (seconds).
QUIET = 1.0


def tell_end(task: asyncio.Task[None]) -> None:
    """Say what ended a task that runs beside the requests, which go on without it."""
    if not task.cancelled() and (exc := task.exception()) is not None:
        logger.error("%s has failed; what it looks for goes unnoticed from now on.\n", task.get_name(), exc_info=exc)


class Worker:
    """Serves ``app`` on one socket. All but ``stop`` belongs to one thread: startup, requests and shutdown share it."""

    def __init__(
        self, number: int, app: Any, settings: Settings, rsgi: bool, sock: socket.socket, port: int | None,
        watch: gil_watch.GILWatch, gil: GilLane | None = None,
        renew: Callable[[], None] = lambda: None, leave: Callable[[], None] = lambda: shutdown.leave(0),
    ) -> None:  # fmt: skip
        self.number = number
        self.settings = settings
        self.rsgi = rsgi
        self.sock = sock
        self.port = port
        self.watch = watch
        self.gil = gil
        self.renew = renew
        self.leave = leave
        self.door = granian.Door(sock)
        self.gil_client: LaneClient | None = None
        self.signal = granian.new_signal()
        self.runtime = Runtime.with_threads(app, settings, f"freelane-{number}")
        self.stopping = threading.Event()
        # Whether another process has taken over the socket.
        self.retired = threading.Event()
        self.hurried = threading.Event()
        self.overdue: Overdue | None = None
        # What --metrics-port wants.
        self.recorder: Recorder | None = None
        self.lag: Lag | None = None
        self.on_serving: Callable[[], object] = lambda: None

    def startup(self) -> None:
        """Run the app's startup. Raises StartupError."""
        loop = self.runtime.loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self.runtime.startup())
        except BaseException:
            loop.run_until_complete(shutdown.clear())
            self.runtime.close()
            raise

    def run(self, on_serving: Callable[[], object]) -> None:
        """Serve until ``stop``, then run the app's shutdown. ``startup`` went before."""
        settings, runtime = self.settings, self.runtime
        assert runtime.lane is not None and runtime.executor is not None
        self.on_serving = on_serving
        websocket.MAX_MESSAGE = settings.ws_max_size
        forwarded = ForwardedHeaders(settings.forwarded_allow_ips, settings.uds) if settings.proxy_headers else None
        if self.gil is not None:
            self.gil.install(runtime.app)
        kind: type[Gateway] = Gateway
        if settings.measured:
            from freelane.server import metrics

            kind = metrics.MeasuredGateway
            self.recorder, self.lag = metrics.Recorder(runtime.app), metrics.Lag()
        gateway = runtime.bind(
            kind,
            rsgi=self.rsgi,
            root_path=settings.root_path,
            forwarded=forwarded,
            observer=make_observer(settings, self.rsgi, self.recorder),
            connections=Connections(self.port),
        )
        if self.recorder is not None:
            gateway.recorder = self.recorder  # type: ignore[attr-defined]
        if settings.request_timeout is not None:
            self.overdue = Overdue(gateway, settings.request_timeout)
        schedule = runtime.schedule
        if self.gil is not None:
            client = self.gil_client = self.gil.connect(gateway, runtime.app)
            if self.gil.routes.by_path:
                schedule = self.gil.routes.schedule(client, self.rsgi, schedule)
        if not self.rsgi:
            schedule = HeadCheck(schedule, logger)
        if Front.wanted(settings):
            arrive = None if self.recorder is None else self.recorder.arrive
            schedule = Front(schedule, settings, self.rsgi, runtime.running, self.ending, self.renew, arrive)
        key = private_key(settings) if settings.tls else PrivateKey(None)
        options = granian.WorkerOptions(
            threads=min(runtime.executor.cores, settings.threads) + RESERVE if runtime.direct else 1,
            backpressure=CONNECTIONS,
            http=settings.http_versions,
            websockets=settings.http_versions != "2" and settings.ws != "none",
            tls=granian.TLS(
                settings.ssl_certfile,
                key.path,
                "tls1.2",
                client_authorities(settings),
                verifies(settings),
            ),
            http1=http1_settings(settings),
        )
        try:
            granian.serve(
                self.number, self.door, self.sock.family == socket.AF_UNIX, settings.backlog, self.rsgi,
                options, schedule, runtime.loop, runtime.lane, self.main, self.signal,
            )  # fmt: skip
            if self.gil_client is not None:
                self.gil_client.close()
        finally:
            self.finish()

    def finish(self) -> None:
        """Run the app's shutdown, and let go of everything."""
        try:
            self.runtime.finish()
        finally:
            self.runtime.close()

    async def main(self, stopped: asyncio.Future[None]) -> None:
        """What the loop runs while Granian serves."""
        self.on_serving()
        beside = [asyncio.create_task(self.watch_gil(), name="The watch for the GIL")]
        if self.settings.batch:
            beside.append(asyncio.create_task(scheduling.follow_load(self.handled), name="The watch for the load"))
        if self.lag is not None:
            beside.append(asyncio.create_task(self.lag.watch(), name="The watch for the loop's lag"))
        if self.overdue is not None:
            beside.append(asyncio.create_task(self.overdue.watch(), name="The watch for requests that take too long"))
        for task in beside:
            task.add_done_callback(tell_end)
        ending = asyncio.create_task(self.supervise_stop(stopped))
        await asyncio.wait([stopped, ending], return_when=asyncio.FIRST_COMPLETED)
        self.stop()
        await ending
        for task in beside:
            task.cancel()
        if not stopped.done():
            # Granian waits for connections that will not end: finish without it.
            await self.runtime.shutdown()
            self.leave()

    def handled(self) -> int:
        """About how many requests were handled; no more than that is needed of it."""
        lane, executor = self.runtime.lane, self.runtime.executor
        return (0 if lane is None else lane.posted) + (0 if executor is None else executor.finished)

    async def watch_gil(self) -> None:
        limit = (self.settings.limit_max_rss or 0) << 20
        while True:
            await asyncio.sleep(1)
            if news := self.watch.news():
                logger.warning(news)
            if limit and (size := resident_bytes()) > limit:
                logger.warning("%d MiB are more than --limit-max-rss: a new process takes over.", size >> 20)
                self.renew()
                limit = 0

    async def supervise_stop(self, stopped: asyncio.Future[None]) -> None:
        """Give running requests their time once ``stop`` was called, then cancel them."""
        while not self.stopping.is_set() and not self.retired.is_set():
            await asyncio.sleep(0.05)
        await self.say_goodbye()
        await self.close_websockets()
        self.signal.set()
        # Granian has stopped once the last response is sent: background work may still run.
        await self.runtime.drain(time.monotonic() + self.settings.patience, lambda: not stopped.done())
        if self.gil_client is not None:
            self.gil_client.close()
            # What waited for the lane inside the app's layers hears of it, and answers.
            await self.runtime.drain(time.monotonic() + shutdown.LAST_STEPS)
        await self.runtime.cut_off()
        await asyncio.wait([stopped], timeout=1)

    async def say_goodbye(self) -> None:
        """Answer what still comes with `connection: close`, so that no client sends into a connection that ends.

        A worker that is succeeded accepts nobody more, and does so until its clients are gone or idle; one
        that is told to end, for the drain delay.
        """
        gateway, settings = self.runtime.gateway, self.settings
        assert gateway is not None
        retired = not self.stopping.is_set()
        if retired:
            self.door.shut()
        elif not settings.drain_delay:
            return
        gateway.say_goodbye()
        began = quiet = time.monotonic()
        handled = self.handled()
        while not self.hurried.is_set():
            await asyncio.sleep(0.05)
            now = time.monotonic()
            if self.handled() != handled:
                handled, quiet = self.handled(), now
            if not retired:
                if now - began >= settings.drain_delay:
                    return
            elif now - quiet >= QUIET or now - began >= settings.patience:
                return

    async def close_websockets(self) -> None:
        gateway = self.runtime.gateway
        assert gateway is not None
        sockets = [exchange for exchange in gateway.active if isinstance(exchange, WebSocketExchange)]
        if sockets:
            await asyncio.wait([asyncio.create_task(exchange.shutdown()) for exchange in sockets], timeout=1)

    def stop(self) -> None:
        """Begin to stop; callable from any thread and from a signal handler. Ends a long goodbye."""
        if self.retired.is_set():
            self.hurried.set()
        self.stopping.set()

    def ending(self) -> bool:
        return self.stopping.is_set() or self.retired.is_set()

    def retire(self) -> None:
        """Begin to stop, since another process serves; as ``stop``."""
        self.retired.set()


def http1_settings(settings: Settings) -> Any:
    """Granian's settings of HTTP/1, where an option changes them."""
    idle, head = settings.timeout_keep_alive, settings.h11_max_incomplete_event_size
    if idle is None and head is None:
        return None
    made = granian.http1_settings()
    if idle == 0:
        made.keep_alive = False
    elif idle is not None:
        made.header_read_timeout = min(idle * 1000, 60_000)
    if head is not None:
        made.max_buffer_size = max(head, 8192)
    return made
