"""What ``freelane check`` says of extension modules and of the routes that need the gil lane."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from freelane.adapters.route_model import RouteTable
from freelane.gil_lane import gil_watch
from freelane.gil_lane.detect.extensions import Extension
from freelane.gil_lane.detect.report import Report
from freelane.gil_lane.lane import choose, together
from freelane.gil_lane.routes import GilRoutes
from freelane.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """A route that the lane serves, and why. ``undecided`` asks for a person."""

    kind: str
    methods: list[str] | None
    path: str
    reason: str
    undecided: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """``problems`` are what needs a person, one sentence each with its cure; ``gil``: whether the GIL is on for all routes."""

    extensions: list[Extension]
    gil_routes: list[Finding]
    problems: list[str]
    gil: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "extensions": [{**asdict(item), "advice": item.advice} for item in self.extensions],
            "gil_routes": [asdict(item) for item in self.gil_routes],
            "problems": self.problems,
            "gil": self.gil,
        }


def findings(table: RouteTable, settings: Settings, report: Report) -> Findings:
    """What a person should know before serving. Raises ConfigError as ``freelane run`` would."""
    routes = choose(table, settings, report)
    asked = report.together if settings.gil_auto == "on" else report.unsafe
    gil = not gil_watch.free_threaded() or bool(asked) and not gil_watch.kept_off()
    return Findings(report.extensions, list(gil_routes(routes)), list(problems(routes, settings, report)), gil)


def gil_routes(routes: GilRoutes) -> Iterable[Finding]:
    for index, entry in enumerate(routes.table.entries):
        reason = routes.reasons.get(index) or (routes.everything if entry.endpoint is not None else None)
        if reason:
            methods = None if entry.methods is None else list(entry.methods)
            yield Finding(entry.kind, methods, entry.path, reason, reason.startswith("cannot be decided"))
    for glob, reason in routes.globs.items():
        yield Finding("http", None, glob, reason, False)


def problems(routes: GilRoutes, settings: Settings, report: Report) -> Iterable[str]:
    for finding in gil_routes(routes):
        if finding.undecided:
            yield (
                f"{finding.path}: {finding.reason}. It goes to the gil lane; say so with @freelane.gil, or write what it "
                "uses so that it can be read."
            )
    if report.together and settings.gil_auto == "on":
        yield together(report)
    if routes.everything:
        yield f"every request goes to the gil lane, because code around every route reaches it: {routes.everything}."
    if report.startup and not report.together:
        chain = " -> ".join(report.startup)
        yield f"the lifespan reaches {chain}, and runs in the main process too: load it where the endpoint uses it."
    for name in routes.table.unreadable:
        yield f"the route {name} is of a kind that cannot be read: it is served in the main process."
    if settings.gil_python is None:
        for item in report.extensions:
            if item.state == "no wheel for this interpreter":
                yield f"{item.name} is not there for this interpreter: name one that has it with --gil-python."
    if settings.gil_auto == "off" and gil_watch.free_threaded() and report.unsafe:
        names = ", ".join(item.name for item in report.unsafe)
        yield f"--gil-auto is off, and {names} will turn the GIL on for all."


def extension_table(extensions: Sequence[Extension]) -> str:
    """The table for people; the modules that are safe are counted by what they belong to."""
    rows = [
        (item.name, f"{item.distribution} {item.version}".strip() or "-", item.state, item.advice)
        for item in extensions
        if item.unsafe
    ]
    safe: dict[str, int] = {}
    for item in extensions:
        if not item.unsafe:
            owner = f"{item.distribution} {item.version}".strip() or item.name
            safe[owner] = safe.get(owner, 0) + 1
    rows += [(f"{count} module{'s' if count > 1 else ''}", owner, "safe", "") for owner, count in sorted(safe.items())]
    if not rows:
        return "No extension modules beside Python's own and freelane's."
    return columns(("extension module", "version", "state", "what to do"), rows)


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *rows])
