"""A lane process: imports the app and serves what the server hands over.

``python -m freelane.gil_lane.process SPEC``; SPEC is the JSON that ``supervisor.py`` makes.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

from freelane.adapters.registry import adapt, join_state
from freelane.errors import StartupError
from freelane.fastcore.asgi.gateway import Gateway
from freelane.fastcore.lane import protocol
from freelane.fastcore.lane.server import Connection
from freelane.fastcore.threads.executor import Executor
from freelane.fastcore.threads.loop_queue import LoopQueue
from freelane.gil_lane import gil_watch
from freelane.loader import load
from freelane.server import logs, processes, shutdown
from freelane.server.lifespan import Lifespan

logger = logging.getLogger("freelane.error")

EXIT_STARTUP = 3


class LaneGateway(Gateway):
    """Ends a response that failed half-way by resetting its stream: the server breaks the connection."""

    def cut(self, scope: Any, release: Any) -> None:
        scope.stream.reset()
        release()


class Process:
    """One lane process. ``run`` blocks until the server is gone or asks for the end."""

    def __init__(self, spec: dict[str, Any], socks: list[socket.socket]) -> None:
        self.spec = spec
        self.socks = socks
        self.loop = asyncio.new_event_loop()
        self.lane = LoopQueue(self.loop)
        # With its GIL on, a free-threaded build is slower at two computations in turns than at one by one.
        cores = 1 if gil_watch.free_threaded() and gil_watch.enabled() else 0
        self.executor = Executor(spec["threads"], spec["backlog"], spec["name"], cores)
        self.connections: list[Connection] = []
        self.gateway: Any = None
        self.way: Any = None
        self.left = asyncio.Event()

    def run(self) -> int:
        spec = self.spec
        asyncio.set_event_loop(self.loop)
        try:
            app = load(spec["target"], factory=spec["factory"], app_dir=spec["app_dir"], alias=spec["alias"])
            join_state(app, spec["state"])
            lifespan = Lifespan(app)
            if spec["lifespan"] == "auto":
                self.loop.run_until_complete(lifespan.startup())
            adapted = adapt(app, self.executor, self.lane)
        except StartupError as exc:
            return self.fail(f"the app's startup failed\n{exc}")
        except BaseException as exc:
            return self.fail("".join(traceback.format_exception(exc)))
        self.gateway = LaneGateway(
            adapted.app,
            self.loop,
            lane=self.lane,
            rsgi=False,
            state=lifespan.state,
            context=contextvars.copy_context(),
            logger=logger,
        )
        self.way = adapted.bind(self.gateway)
        self.connections = [Connection(self, sock) for sock in self.socks]
        for connection in self.connections:
            connection.link.write(protocol.frame(protocol.READY, 0, 0, b""))
        self.loop.run_until_complete(self.main())
        if spec["lifespan"] == "auto":
            self.loop.run_until_complete(lifespan.shutdown())
        self.loop.run_until_complete(shutdown.clear())
        return 0

    def fail(self, reason: str) -> int:
        """Tell the server why this process cannot serve."""
        data = reason.encode("utf-8", "replace")[-protocol.MAX_REASON :]
        for sock in self.socks:
            try:
                sock.setblocking(True)
                sock.sendall(protocol.frame(protocol.FAILED, 0, 0, data))
            except OSError:
                pass
        return EXIT_STARTUP

    def leave(self) -> None:
        if all(connection.leaving for connection in self.connections):
            self.left.set()

    async def main(self) -> None:
        await self.left.wait()
        # What runs may finish, background tasks included; nobody waits for the rest.
        deadline = time.monotonic() + self.spec["shutdown_timeout"]
        while self.busy and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        tasks = [exchange.task for exchange in self.gateway.active if exchange.task is not None]
        await shutdown.cancel(tasks)

    @property
    def busy(self) -> bool:
        return bool(self.gateway.active) or any(connection.busy for connection in self.connections)


def main(argv: Sequence[str] | None = None) -> int:
    spec = json.loads((sys.argv[1:] if argv is None else argv)[0])
    processes.die_with(spec["parent"])
    # The server says when to end; a terminal or service manager tells the whole group.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    logs.configure(spec["log_level"], spec["name"])
    socks = [socket.socket(fileno=fd) for fd in spec["fds"]]
    for sock in socks:
        sock.setblocking(False)
    code = Process(spec, socks).run()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread of the app's must not keep what the server has let go.
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
