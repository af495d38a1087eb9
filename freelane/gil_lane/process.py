"""A lane process: imports the app and serves what the server hands over.

``python -m freelane.gil_lane.process``, with the JSON that ``supervisor.py`` makes on its standard input.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from freelane.adapters.registry import adapter_of
from freelane.adapters.route_model import RouteTable
from freelane.errors import EXIT_STARTUP, StartupError
from freelane.fastcore.asgi.gateway import Gateway
from freelane.fastcore.lane import protocol
from freelane.fastcore.lane.route_run import RouteRun
from freelane.fastcore.lane.server import Connection
from freelane.gil_lane import gil_watch
from freelane.gil_lane.parcels import parcels_for
from freelane.gil_lane.routes import checksum
from freelane.loader import load
from freelane.server import logs, processes
from freelane.server.runtime import Runtime
from freelane.settings import Settings

logger = logging.getLogger("freelane.error")


class LaneGateway(Gateway):
    """Ends a response that failed half-way by resetting its stream: the server breaks the connection."""

    def cut(self, peer: Any, release: Any) -> None:
        peer.reset()
        release()

    def breaks(self, scope: Any) -> bool:
        return True


class Process:
    """One lane process. ``run`` blocks until the server is gone or asks for the end."""

    def __init__(self, spec: dict[str, Any], socks: list[socket.socket]) -> None:
        self.spec = spec
        self.socks = socks
        self.loop = asyncio.new_event_loop()
        self.connections: list[Connection] = []
        self.gateway: Any = None
        self.way: Any = None
        self.app: Any = None
        self.table = RouteTable()
        self.parcels: Any = None
        # What runs one route, by its number in the table; filled as they are asked for.
        self.route_apps: dict[int, Any] = {}
        self.left = asyncio.Event()

    def run(self) -> int:
        asyncio.set_event_loop(self.loop)
        try:
            runtime = self.start()
        except StartupError as exc:
            return self.fail(f"the app's startup failed\n{exc}")
        except BaseException as exc:
            return self.fail("".join(traceback.format_exception(exc)))
        self.connections = [Connection(self, sock) for sock in self.socks]
        for connection in self.connections:
            connection.link.write(protocol.frame(protocol.READY, 0, 0, b""))
        self.loop.run_until_complete(self.main(runtime))
        runtime.finish()
        return 0

    def start(self) -> Runtime:
        """Import the app, and run its startup."""
        spec = self.spec
        app = self.app = load(spec["target"], **spec["loading"])
        adapter = adapter_of(app)
        self.table, landmarks = adapter.route_table(app), adapter.landmarks(app)
        if checksum(self.table) != spec["routes"]:
            raise StartupError("imported again, the app has other routes than in the server's process")
        adapter.join_state(app, spec["state"])
        settings = Settings(
            threads=spec["threads"], threads_backlog=spec["backlog"], lifespan=spec["lifespan"],
            shutdown_timeout=spec["shutdown_timeout"], root_path=spec["root_path"],
        )  # fmt: skip
        # With its GIL on, a free-threaded build is slower at two computations in turns than at one by one.
        cores = 1 if gil_watch.free_threaded() and gil_watch.enabled() else 0
        runtime = Runtime.with_threads(app, settings, spec["name"], self.loop, cores)
        self.loop.run_until_complete(runtime.startup())
        self.gateway = runtime.bind(LaneGateway, rsgi=False, root_path=settings.root_path)
        self.way = runtime.way
        self.parcels = parcels_for(self.table, landmarks, self.gateway, spec["name"])
        return runtime

    def open_route(self, number: int, packed: bytes) -> tuple[dict[str, Any], Callable[[Any], None]]:
        """The scope of one route's turn, and what begins it on its stream. Raises whatever unpickling does."""
        scope, context = self.parcels.unpack(packed, number)
        app = self.route_apps.get(number)
        if app is None:
            entry = self.table.entries[number]
            app = self.route_apps[number] = adapter_of(entry.owner).route_app(entry)

        def begin(stream: Any) -> None:
            changes = self.parcels.changes(scope, number)
            RouteRun(self.gateway, stream, scope, app, changes, self.parcels.pack_error).start(context)

        return scope, begin

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

    async def main(self, runtime: Runtime) -> None:
        await self.left.wait()
        # What runs may finish, background tasks included; nobody waits for the rest.
        await runtime.drain(time.monotonic() + self.spec["shutdown_timeout"], self.busy)
        await runtime.cut_off()

    def busy(self) -> bool:
        return any(connection.busy for connection in self.connections)


def main() -> int:
    spec = json.load(sys.stdin)
    # For the app there is nothing to read, as for the server's.
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    processes.die_with(spec["parent"])
    # The server says when to end; a terminal or service manager tells the whole group.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    logs.configure(Settings(**spec["logging"]), spec["name"])
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
