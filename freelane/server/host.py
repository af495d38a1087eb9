"""Serve an app: sockets, workers, signals, exit codes."""

from __future__ import annotations

import copy
import logging
import platform
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from freelane.adapters.registry import adapter_of, rsgi_obstacle
from freelane.errors import EXIT_STARTUP, ConfigError, StartupError
from freelane.fastcore.version import __version__
from freelane.gil_lane import gil_watch, start
from freelane.gil_lane.lane import GilLane, needing, plan, tell
from freelane.server import granian, handover, logs, processes, scheduling, service_manager, shutdown, sockets
from freelane.server.channel import Channel
from freelane.server.crew import Crew
from freelane.server.forks import forks
from freelane.server.ledger import Family, Ledger, Measures
from freelane.server.signals import Exit, Interrupted
from freelane.server.worker import Worker
from freelane.settings import Settings
from freelane.settings.uvicorn import notes

if TYPE_CHECKING:
    from freelane.server.page import Page

logger = logging.getLogger("freelane.error")

# What clients that are connected get to hear that the server ends (seconds).
PATIENCE = 10.0


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
        # Takes the start line once the app is served.
        self.announce: Callable[[str], None] = service_manager.announce
        # The line to a supervisor, and what starts a successor where there is none.
        self.channel: Channel | None = None
        self.handover: handover.HandOver | None = None
        # When what still runs has had its time (time.monotonic); None until the server stops.
        self.deadline: float | None = None
        self.measures = Measures(self.count, self.count_app, self.count_lane)

    def run(self) -> int:
        """Raises ConfigError before anything was started; returns 0, or 3 if the app's startup failed."""
        settings = self.settings
        logs.configure(settings)
        for note in notes(settings):
            logger.warning(note)
        if missing := granian.contract():
            from freelane.server import granian_fallback

            code = granian_fallback.serve(self.load, settings, missing)
            self.deadline = time.monotonic()
            return code
        if (found := handover.inherited()) is not None:
            listener, self.channel = found
            self.announce = lambda line: self.succeed(line)
            return self.serve(listener, list(range(settings.loops)))
        workers = 1 if settings.reload else settings.workers
        if workers < settings.workers:
            logger.warning('"workers" flag is ignored when reloading is enabled.')
        listener = sockets.bind(settings, workers * settings.loops)
        try:
            if settings.reload and self.target is not None:
                from freelane.server import reload

                reloader = reload.Reloader(settings, listener)
                reloader.page = self.open_page(reloader.ledger, reloader.refresh)
                return reloader.run()
            if workers > 1:
                crew = processes.Processes(
                    workers, forks(lambda index, channel: self.serve_as_process(listener, index, channel)), settings.patience
                )
                crew.page = self.open_page(crew.ledger, crew.refresh)
                crew.released = lambda index: listener.release(index, settings.loops)
                return crew.run()
            return self.serve(listener, list(range(settings.loops)))
        finally:
            listener.close()

    def succeed(self, line: str) -> None:
        """Serve in the place of another process."""
        assert self.channel is not None
        print(line, file=sys.stderr, flush=True)
        self.channel.ready(line)

    def renew(self) -> None:
        """Let a new process take over, if it can start. Callable from any thread and from a signal handler."""
        if self.channel is not None and self.channel.alive:
            if self.deadline is None:
                self.channel.say("renew")
        elif self.handover is not None:
            self.handover.begin()

    def retire(self) -> None:
        """A successor serves: let go of the sockets, and end when the clients that are here know it."""
        if self.deadline is None:
            self.deadline = time.monotonic() + self.settings.patience + PATIENCE
        for worker in self.workers:
            worker.retire()

    def serve_as_process(self, listener: sockets.Listener, index: int, channel: Channel) -> int:
        """Serve as one of several processes."""
        self.channel, self.announce = channel, channel.ready
        loops = self.settings.loops
        code = self.serve(listener, [number % len(listener.sockets) for number in range(index * loops, (index + 1) * loops)])
        if self.deadline is not None:
            shutdown.end_threads(code, self.deadline, self.exit.interrupted)
        return code

    def serve(self, listener: sockets.Listener, indexes: list[int]) -> int:
        """Serve on the sockets at ``indexes`` from this process."""
        settings = self.settings
        in_force = scheduling.describe(settings.batch)
        self.watch.install()
        self.handover = handover.HandOver(listener, settings.patience, self.retire, lambda: self.exit.exiting, self.measures)
        self.exit.install(self.renew)
        if self.channel is not None:
            self.channel.listen(self.retire, self.measures.text, self.live_alone)
        try:
            serve = self.start(listener, indexes, in_force)
        except Interrupted:
            return 0
        except StartupError as exc:
            logger.error("Application startup failed. Exiting.\n%s", str(exc).rstrip())
            return EXIT_STARTUP
        try:
            serve()
            if self.handover.taken and not self.exit.exiting:
                assert self.deadline is not None
                self.handover.become_keeper(self.deadline)
        finally:
            if self.handover.page is not None:
                self.handover.page.close()
        self.handover.dismiss()
        return 0

    def leave(self) -> NoReturn:
        """End now, since Granian waits for connections that will not end."""
        self.report()
        if self.handover is not None:
            if self.handover.taken and not self.exit.exiting:
                self.handover.execute()
            self.handover.dismiss()
        shutdown.leave(0)

    def start(self, listener: sockets.Listener, indexes: list[int], in_force: str) -> Callable[[], None]:
        """Import the app and start it; returns what serves it. Raises Interrupted once a signal asks for the end."""
        settings = self.settings
        inspection = start.begin(settings) if self.target is not None else None
        apps = [self.load() for _ in indexes] if settings.factory else [self.load()] * len(indexes)
        self.exit.check()
        report = inspection.report(apps[0]) if inspection is not None else None
        rsgi, transport = choose_transport(apps[0], settings.transport)
        self.gil = plan(apps[0], settings, self.target, report)
        start.settle(self.gil is not None or report is not None and bool(report.unsafe), bool(report and report.together))
        if report is not None and report.together:
            self.watch.reason = f"{needing(report)} needs it, and routes share {'; '.join(report.together)}"
        if self.gil is not None:
            self.gil.share(len(indexes))
            for app in {id(app): app for app in apps}.values():
                self.gil.prepare(app)
        tell(self.gil.routes if self.gil is not None else None, report)
        self.workers = [
            Worker(
                index + 1,
                app,
                settings,
                rsgi,
                listener.sockets[index],
                listener.port,
                self.watch,
                self.gil,
                self.renew,
                self.leave,
            )
            for index, app in zip(indexes, apps)
        ]
        crew = Crew(self.workers)
        self.startup(crew, apps[0])
        line = self.describe(listener.address, transport, in_force)
        try:
            self.exit.starting = False
            self.exit.check()
            if self.channel is None:
                self.serve_page()
        except BaseException:
            crew.dismiss()
            raise

        def serving() -> None:
            if self.gil is not None:
                self.gil.start()
            self.announce(line)

        def serve() -> None:
            try:
                crew.serve(serving)
            finally:
                if self.gil is not None:
                    self.gil.stop()
                self.report()

        return serve

    def open_page(self, ledger: Ledger, refresh: Callable[[], None]) -> Page | None:
        """The page of the counters, if there shall be one. Raises ConfigError."""
        if self.settings.metrics_port is None:
            return None
        from freelane.server import page

        found = page.Page(page.listen(self.settings.host, self.settings.metrics_port), ledger, refresh)
        logger.info("Metrics at %s.", found.address)
        return found

    def serve_page(self) -> None:
        """Show what this process counts, and its successor."""
        assert self.handover is not None
        self.handover.page = self.open_page(self.handover.ledger, self.handover.refresh)
        if self.handover.page is not None:
            self.handover.page.serve()

    def count(self) -> Iterator[Family]:
        """What this process has counted."""
        if self.settings.metrics_port is not None:
            from freelane.server import metrics

            yield from metrics.count(self.workers)

    def count_app(self) -> Iterator[Family]:
        """What the app counts by itself, of a kind that an adapter knows."""
        if self.settings.metrics_port is not None and self.workers:
            app = self.workers[0].runtime.app
            yield from adapter_of(app).families(app)

    def count_lane(self) -> Iterator[Family]:
        if self.settings.metrics_port is not None and self.gil is not None:
            from freelane.gil_lane import metrics

            yield from metrics.families(self.gil.supervisor)

    def report(self) -> None:
        """Tell the supervisor for the last time what was counted here."""
        if self.channel is not None and self.settings.metrics_port is not None:
            self.channel.say(f"counts {self.measures.text()}")

    def live_alone(self) -> None:
        """Who watched this process is gone: it goes on, and shows itself what it counts."""
        try:
            self.serve_page()
        except ConfigError as exc:
            logger.error("%s", exc)

    def startup(self, crew: Crew, app: Any) -> None:
        """Start every worker's lifespan, one after the other."""
        before = shared_state(app)

        def check() -> None:
            if not self.settings.factory and shared_state(app) != before:
                raise ConfigError(
                    f"the app's lifespan writes to app.state, which --loops {len(self.workers)} would share: "
                    "yield a dict from the lifespan (request.state), name a function that makes the app and "
                    "use --factory, or use --workers, which are processes"
                )

        crew.startup(check)

    def stop(self) -> None:
        """Stop serving: finish what runs, then return from ``run``. Callable from any thread."""
        if self.channel is None:
            service_manager.notify("STOPPING=1")
        if self.deadline is None:
            # An app that has not started has nothing to finish.
            self.deadline = time.monotonic() + (0 if self.exit.starting else self.settings.patience)
        for worker in self.workers:
            worker.stop()

    def describe(self, address: str, transport: str, in_force: str) -> str:
        """The start line: what is in force."""
        settings = self.settings
        build = " free-threaded" if gil_watch.free_threaded() else ""
        workers = f"{settings.workers} worker{'' if settings.workers == 1 else 's'}"
        if settings.loops > 1:
            workers += f" of {settings.loops} loops"
        compiled = ""
        if settings.compiled:
            from freelane.build import importer

            compiled = f" | {importer.describe()}"
        return "freelane {} | {} {}{} | {} | Granian {} | transport {} | {} | {} threads{} | {} | access log {}{} | {}".format(
            __version__,
            platform.python_implementation(),
            platform.python_version(),
            build,
            self.watch.describe(),
            granian.version(),
            transport,
            workers,
            settings.threads,
            f" | {self.gil.describe()}" if self.gil is not None else "",
            in_force,
            "on" if settings.access_log else "off",
            compiled,
            address,
        )


def shared_state(app: Any) -> dict[str, Any] | None:
    """A copy of what Starlette's ``app.state`` holds; None if there is no such thing."""
    values = getattr(getattr(app, "state", None), "_state", None)
    return copy.copy(values) if isinstance(values, dict) else None
