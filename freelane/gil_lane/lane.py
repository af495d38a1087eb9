"""The gil lane of one server process, as the host and its workers see it."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from typing import TYPE_CHECKING, Any

from freelane.adapters.lane_route import Run
from freelane.adapters.registry import adapter_of, route_table
from freelane.adapters.route_model import RouteTable
from freelane.errors import ConfigError
from freelane.gil_lane import decorator
from freelane.gil_lane.routes import GilRoutes, Places, checksum, names_of, told
from freelane.settings import Settings

if TYPE_CHECKING:
    from freelane.gil_lane.client import LaneClient
    from freelane.gil_lane.detect.report import Report

logger = logging.getLogger("freelane.error")


class GilLane:
    """Routes and processes. ``connect`` is called by each worker, ``start`` once all have."""

    def __init__(self, routes: GilRoutes, target: str, settings: Settings, state: str | None = None) -> None:
        self.routes = routes
        self.settings = settings
        from freelane.gil_lane.supervisor import Supervisor

        self.supervisor = Supervisor(target, settings, state, checksum(routes.table))
        # Of this process; ``lock`` guards all of them while the workers start.
        self.clients: list[LaneClient] = []
        self.by_loop: dict[asyncio.AbstractEventLoop, LaneClient] = {}
        self.apps: dict[int, tuple[Places, list[Any]]] = {}
        self.lock = threading.Lock()
        self.limit = settings.threads

    def share(self, workers: int) -> None:
        """Let so many workers of this process share each lane process."""
        self.limit = max(1, self.settings.threads // workers)

    def prepare(self, app: Any) -> None:
        """Number the routes of one of the app's objects, before its startup."""
        table = route_table(app)
        if checksum(table) != checksum(self.routes.table):
            raise ConfigError("the app has other routes each time it is made: the gil lane's processes could not know them")
        self.apps[id(app)] = Places(table, iter(self.routes.reasons)), adapter_of(app).landmarks(app)

    def install(self, app: Any) -> None:
        """Let the lane stand in the place of its routes in ``app``, which has started."""
        places, _ = self.apps[id(app)]
        with self.lock:
            for entry in route_table(app).entries:
                number = places.number(entry)
                if number is not None and entry.owner is not None:
                    adapter_of(entry.owner).place(entry, functools.partial(self.find, number))

    def find(self, number: int) -> Run | None:
        """What runs a route for the running loop; None on a loop that has no lane."""
        client = self.by_loop.get(asyncio.get_running_loop())
        return None if client is None else functools.partial(client.run_route, number)

    def connect(self, gateway: Any, app: Any) -> LaneClient:
        """A worker's client, on its loop's thread."""
        # Imported here: an app without a lane does not wait for it.
        from freelane.gil_lane.client import LaneClient
        from freelane.gil_lane.parcels import parcels_for

        settings = self.settings
        places, landmarks = self.apps[id(app)]
        parcels = parcels_for(places.table, landmarks, gateway, "the server")
        with self.lock:
            client = LaneClient(
                len(self.clients),
                gateway,
                parcels,
                timeout=min(settings.gil_timeout, settings.request_timeout or settings.gil_timeout),
                limit=self.limit,
                backlog=settings.gil_backlog,
                counted=settings.gil_max_requests is not None,
            )
            self.clients.append(client)
            self.by_loop[gateway.loop] = client
        gateway.gil_lane = client.take
        return client

    def start(self) -> None:
        self.supervisor.start(self.clients)

    def stop(self) -> None:
        """End the processes, and log what they did."""
        from freelane.gil_lane import metrics

        metrics.log(self.supervisor)
        self.supervisor.stop()

    def describe(self) -> str:
        """For the start line."""
        routes, count = self.routes, self.settings.gil_workers
        number = len(routes.reasons) + len(routes.globs)
        what = "every route" if routes.everything else "1 route" if number == 1 else f"{number} routes"
        return f"gil lane: {what} in {count} process{'es' if count > 1 else ''}"


def plan(app: Any, settings: Settings, target: str | None, report: Report | None) -> GilLane | None:
    """The lane that ``app`` needs, or None. Raises ConfigError for a name that fits nothing."""
    if not may_need(app, settings, report):
        return None
    routes = choose(route_table(app), settings, report)
    if not routes:
        return None
    if target is None:
        table = routes.table
        if table.copes and not settings.gil and all(table.entries[index].gil for index in routes.reasons):
            return None
        raise ConfigError(
            "the gil lane's processes import the app by its name: pass freelane.serve() a string such as 'module:app'"
        )
    return GilLane(routes, target, settings, adapter_of(app).share_state(app))


def may_need(app: Any, settings: Settings, report: Report | None) -> bool:
    """Whether some route may be the lane's, told without reading the routes, which is dear in a big app."""
    found = report is not None and bool(report.routes or report.everywhere)
    return found or bool(settings.gil) or decorator.used or adapter_of(app).marks_routes


def choose(table: RouteTable, settings: Settings, report: Report | None) -> GilRoutes:
    """The routes of the lane: those that are marked or named, then those that were found."""
    reasons, globs, extensions, unknown = told(table, settings.gil)
    if unknown:
        raise ConfigError(f"--gil '{unknown[0]}' is no endpoint of this app: {known_names(table, unknown[0])}")
    everything = None
    if report is not None and settings.gil_auto == "on":
        everything = " -> ".join(report.everywhere) if report.everywhere and not report.together else None
        found = {(route.kind, route.path, tuple(route.methods or ())): route for route in report.routes}
        for index, entry in enumerate(table.entries):
            route = found.get((entry.kind, entry.path, entry.methods or ()))
            if route is None or entry.endpoint is None:
                continue
            if report.together and not (route.chain and route.chain[-1] in extensions):
                continue
            if route.chain:
                reasons.setdefault(index, " -> ".join(route.chain))
            elif route.doubts:
                reasons.setdefault(index, f"cannot be decided: {'; '.join(route.doubts)}")
    elif extensions:
        raise ConfigError(f"--gil 'module:{min(extensions)}' needs --gil-auto on, which finds the endpoints that use it")
    return GilRoutes(table, reasons, globs, everything)


def tell(routes: GilRoutes | None, report: Report | None) -> None:
    """Log what was found by itself: a person should know, and may know better."""
    if report is None or (routes is None and not report.together):
        return
    for item in report.unsafe:
        logger.info("%s %s (%s).", item.name, item.state, item.file or "only in the gil lane")
    if report.together:
        text = together(report)
        logger.warning("%s%s", text[0].upper(), text[1:])
    if routes is None:
        return
    if routes.everything:
        logger.warning("Every request goes to the gil lane: %s.", routes.everything)
    for index, reason in sorted(routes.reasons.items()):
        level = logging.WARNING if reason.startswith("cannot be decided") else logging.INFO
        logger.log(level, "%s is in the gil lane: %s.", routes.table.entries[index].path, reason)
    if report.startup and not report.together:
        logger.warning(
            "The app's lifespan reaches %s, and runs in the main process as well, before it serves.",
            " -> ".join(report.startup),
        )


def together(report: Report) -> str:
    """Why the whole app is to have the GIL on, and what would free it."""
    return (
        f"the whole app is served with the GIL on: routes that need {needing(report)} share with the rest "
        f"{'; '.join(report.together)}. A release of it that supports free threading would free the app, or keep what is "
        "shared outside of the process, or mark the routes that belong together with @freelane.gil."
    )


def needing(report: Report) -> str:
    """What needs the GIL."""
    later = sorted({route.chain[-1] for route in report.routes if route.chain})
    return ", ".join([item.name for item in report.unsafe] or later)


def known_names(table: RouteTable, name: str) -> str:
    names = sorted(name for entry in table.entries if entry.endpoint is not None for name in names_of(entry))
    import difflib

    near = difflib.get_close_matches(name, names, n=3) or names[:5]
    return f"it has {', '.join(near)}" if near else "it has none that can be read"
