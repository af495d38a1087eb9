"""Serve an app: sockets, workers, signals, exit codes."""

from __future__ import annotations

import copy
import logging
import platform
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from freelane.adapters.registry import rsgi_obstacle
from freelane.errors import EXIT_STARTUP, ConfigError, StartupError
from freelane.fastcore.version import __version__
from freelane.gil_lane import gil_watch, start
from freelane.gil_lane.lane import GilLane, plan, tell
from freelane.server import granian, logs, processes, scheduling, sockets
from freelane.server.crew import Crew
from freelane.server.signals import Exit, Interrupted
from freelane.server.worker import Worker
from freelane.settings import Settings

if TYPE_CHECKING:
    from freelane.gil_lane.metrics import Page

logger = logging.getLogger("freelane.error")


def choose_transport(app: Any, wanted: str) -> tuple[bool, str]:
    """Whether to serve over RSGI, and the transport in words."""
    if wanted != "auto":
        return wanted == "rsgi", wanted
    obstacle = rsgi_obstacle(app)
    return (False, f"asgi ({obstacle})") if obstacle else (True, "rsgi")


class Server:
    """Serves what ``load()`` returns. ``run`` blocks, belongs to the main thread, returns an exit code."""

    def __init__(self, load: Callable[[], Any], settings: Settings, target: str | None = None) -> None:
        self.load = load
        self.settings = settings
        # What the processes of the gil lane import; None where the app has no name.
        self.target = target
        self.gil: GilLane | None = None
        self.workers: list[Worker] = []
        self.watch = gil_watch.GILWatch()
        self.exit = Exit(self.stop)
        # When what still runs has had its time (time.monotonic); None until the server stops.
        self.deadline: float | None = None

    def run(self) -> int:
        """Raises ConfigError before anything was started; returns 0, or 3 if the app's startup failed."""
        settings = self.settings
        logs.configure(settings.log_level)
        if missing := granian.contract():
            from freelane.server import granian_fallback

            code = granian_fallback.serve(self.load, settings, missing)
            self.deadline = time.monotonic()
            return code
        listener = sockets.bind(settings.host, settings.port, settings.uds, settings.workers, settings.tls)
        try:
            if settings.workers > 1 and not gil_watch.free_threaded():
                return processes.supervise(settings.workers, lambda index: self.serve(listener, [index]))
            return self.serve(listener, list(range(settings.workers)))
        finally:
            listener.close()

    def serve(self, listener: sockets.Listener, indexes: list[int]) -> int:
        """Serve on the sockets at ``indexes`` from this process."""
        settings = self.settings
        in_force = scheduling.describe(settings.batch)
        self.watch.install()
        self.exit.install()
        try:
            serve = self.start(listener, indexes, in_force)
        except Interrupted:
            return 0
        except StartupError as exc:
            logger.error("Application startup failed. Exiting.\n%s", str(exc).rstrip())
            return EXIT_STARTUP
        serve()
        return 0

    def start(self, listener: sockets.Listener, indexes: list[int], in_force: str) -> Callable[[], None]:
        """Import the app and start it; returns what serves it. Raises Interrupted once a signal asks for the end."""
        settings = self.settings
        inspection = start.begin(settings) if self.target is not None else None
        apps = [self.load() for _ in indexes] if settings.factory else [self.load()] * len(indexes)
        self.exit.check()
        report = inspection.report(apps[0]) if inspection is not None else None
        rsgi, transport = choose_transport(apps[0], settings.transport)
        self.gil = plan(apps[0], settings, self.target, report)
        start.settle(self.gil is not None or report is not None and bool(report.unsafe))
        if self.gil is not None:
            self.gil.share(len(indexes))
            tell(self.gil.routes, report)
        self.workers = [
            Worker(index + 1, app, settings, rsgi, listener.sockets[index], listener.port, self.watch, self.gil)
            for index, app in zip(indexes, apps)
        ]
        crew = Crew(self.workers)
        self.startup(crew, apps[0])
        line = self.describe(listener.address, transport, in_force)
        try:
            self.exit.starting = False
            self.exit.check()
            page = self.metrics_page(indexes[0])
        except BaseException:
            crew.dismiss()
            raise

        def serving() -> None:
            if self.gil is not None:
                self.gil.start()
            print(line, file=sys.stderr, flush=True)

        def serve() -> None:
            try:
                crew.serve(serving)
            finally:
                if self.gil is not None:
                    self.gil.stop()
                if page is not None:
                    page.close()

        return serve

    def metrics_page(self, index: int) -> Page | None:
        """The counters' page; worker processes, on a build with the GIL, have one each at ports in a row."""
        port = self.settings.metrics_port
        if port is None:
            return None
        from freelane.gil_lane.metrics import Page

        page = Page(self.settings.host, port + index if port else 0, self.gil.supervisor if self.gil is not None else None)
        logger.info("Metrics at %s.", page.address)
        return page

    def startup(self, crew: Crew, app: Any) -> None:
        """Start every worker's lifespan, one after the other."""
        before = shared_state(app)

        def check() -> None:
            if not self.settings.factory and shared_state(app) != before:
                raise ConfigError(
                    "the app's lifespan writes to app.state, which --workers "
                    f"{len(self.workers)} loops would share: yield a dict from the lifespan (request.state), "
                    "name a function that makes the app and use --factory, or use --workers 1 with more --threads"
                )

        crew.startup(check)

    def stop(self) -> None:
        """Stop serving: finish what runs, then return from ``run``. Callable from any thread."""
        if self.deadline is None:
            # An app that has not started has nothing to finish.
            self.deadline = time.monotonic() + (0 if self.exit.starting else self.settings.shutdown_timeout)
        for worker in self.workers:
            worker.stop()

    def describe(self, address: str, transport: str, in_force: str) -> str:
        """The start line: what is in force."""
        settings = self.settings
        build = " free-threaded" if gil_watch.free_threaded() else ""
        count = settings.workers
        return "freelane {} | {} {}{} | {} | Granian {} | transport {} | {} worker{} | {} threads{} | {} | {}".format(
            __version__,
            platform.python_implementation(),
            platform.python_version(),
            build,
            self.watch.describe(),
            granian.version(),
            transport,
            count,
            "" if count == 1 else "s",
            settings.threads,
            f" | {self.gil.describe()}" if self.gil is not None else "",
            in_force,
            address,
        )


def shared_state(app: Any) -> dict[str, Any] | None:
    """A copy of what Starlette's ``app.state`` holds; None if there is no such thing."""
    values = getattr(getattr(app, "state", None), "_state", None)
    return copy.copy(values) if isinstance(values, dict) else None
