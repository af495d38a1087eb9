"""Find out, as an app is imported, which of its endpoints need the GIL.

The server looks at the app that it has imported itself. For ``freelane check``,
``python -m freelane.gil_lane.detect.report SPEC`` imports it in an interpreter that is thrown
away and prints a report; ``detect`` runs that and reads it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from freelane.adapters.registry import route_table
from freelane.adapters.route_model import RouteTable
from freelane.gil_lane import gil_watch
from freelane.gil_lane.detect import extensions, import_graph, import_stubs, kept
from freelane.gil_lane.detect.extensions import Extension
from freelane.gil_lane.routes import told
from freelane.loader import load
from freelane.settings import Settings

if TYPE_CHECKING:
    from freelane.gil_lane.detect.call_graph import Reach

START = 120.0
# The settings that say how an app is imported, and what is known of it.
NEEDED = ("factory", "app_dir", "alias", "interface", "gil", "gil_python")
MARKER = "freelane-report:"


@dataclass(frozen=True, slots=True)
class RouteReport:
    """One entry of the app's table. ``chain`` is the names that lead to an extension."""

    kind: str
    methods: list[str] | None
    path: str
    chain: list[str] | None = None
    doubts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """What importing the app showed. ``error`` is a traceback where that failed.

    ``together`` is why no route is moved by itself, and the app served with the GIL on instead.
    """

    extensions: list[Extension] = field(default_factory=list)
    routes: list[RouteReport] = field(default_factory=list)
    everywhere: list[str] | None = None
    startup: list[str] | None = None
    foreign: list[str] = field(default_factory=list)
    together: list[str] = field(default_factory=list)
    error: str | None = None

    @property
    def unsafe(self) -> list[Extension]:
        return [item for item in self.extensions if item.unsafe]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Report:
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Report:
        values["extensions"] = [Extension(**item) for item in values["extensions"]]
        values["routes"] = [RouteReport(**item) for item in values["routes"]]
        return cls(**values)


def detect(target: str, settings: Settings) -> Report:
    """The report on ``target``. An app that cannot be imported has one with an ``error``."""
    import subprocess

    spec = {"target": target, **{name: getattr(settings, name) for name in NEEDED}}
    forced = ["-X", "gil=0"] if gil_watch.free_threaded() else []
    command = [sys.executable, *forced, "-m", "freelane.gil_lane.detect.report", json.dumps(spec)]
    try:
        done = subprocess.run(command, text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=START)
    except subprocess.TimeoutExpired:
        return Report(error=f"importing '{target}' took longer than {START:.0f} s")
    for line in reversed(done.stdout.splitlines()):
        if line.startswith(MARKER):
            return Report.from_json(line.removeprefix(MARKER))
    return Report(error=done.stderr[-4000:] or f"it ended with {done.returncode}")


def foreign_modules(python: str) -> list[str]:
    """Top-level modules that ``python`` has and this interpreter has not."""
    import pkgutil
    import subprocess

    code = (
        "import json, pkgutil, sys; print(json.dumps(sorted({m.name for m in pkgutil.iter_modules()} | "
        "set(sys.builtin_module_names))))"
    )
    try:
        done = subprocess.run([python, "-P", "-c", code], text=True, capture_output=True, timeout=60, check=True)
        theirs = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    ours = {module.name for module in pkgutil.iter_modules()} | set(sys.stdlib_module_names)
    return sorted(set(theirs) - ours)


class Inspection:
    """Looks at what importing an app brings. Made before the import; ``report`` goes after it."""

    def __init__(self, settings: Settings) -> None:
        self.told = settings.gil
        # Another interpreter was asked for: what needs it cannot run here.
        self.elsewhere = settings.gil_python is not None
        self.named = {name.removeprefix("module:") for name in settings.gil if name.startswith("module:")}
        self.foreign = foreign_modules(settings.gil_python) if settings.gil_python is not None else []
        import_stubs.install(self.foreign)
        self.graph = import_graph.ImportGraph()
        self.graph.install()
        self.files = kept.ReadFiles()
        self.files.install()
        self.looked: dict[str, str] = {}
        self.asked = [getattr(settings, name) for name in NEEDED]

    def report(self, app: Any, survey: bool = False) -> Report:
        """What ``app`` needs. Names are followed only where something needs the GIL, or may once it is imported.

        Nothing is followed again of what has not changed since it was. With ``survey`` the extensions that do
        not need it are listed too, each with what it belongs to, and all of it is followed.
        """
        self.graph.uninstall()
        self.files.uninstall()
        if survey:
            return self.look(app, survey)
        key = kept.key(self.graph, self.files, self.asked)
        known = kept.recall(key)
        if known is not None:
            report = Report.from_dict(known["report"])
            if not report.routes or kept.signature(route_table(app)) == known["routes"]:
                return report
        report = self.look(app)
        routes = kept.signature(route_table(app)) if report.routes else ""
        kept.keep(key, self.looked, report=asdict(report), routes=routes)
        return report

    def look(self, app: Any, survey: bool = False) -> Report:
        """As ``report``, following everything."""
        from freelane.gil_lane.detect.call_graph import Reach
        from freelane.gil_lane.detect.later import Later

        foreign = [extensions.Extension(name, "", "no wheel for this interpreter") for name in foreign_in_use()]
        modules = extensions.unsafe_loaded() if gil_watch.free_threaded() else {}
        unsafe = self.named | modules.keys()
        found = extensions.survey() if survey else [
            extensions.Extension(name, module.__spec__.origin or "", "turns the GIL on")  # type: ignore[union-attr]
            for name, module in sorted(modules.items())
        ]  # fmt: skip
        later = Later(extensions.judge, self.graph.behind(unsafe)) if gil_watch.free_threaded() else None
        if later is not None:
            self.looked = later.looked
        if not unsafe and not foreign and (later is None or not later.anything()):
            return Report(found, foreign=self.foreign)
        table = route_table(app)
        reach = Reach(self.graph, unsafe, later.chain if later is not None else lambda name: None, table.state)
        groups = [*(entry.code for entry in table.entries), table.everywhere]
        (*verdicts, everywhere), startup = reach.verdicts(groups, tuple(table.startup))
        routes = [
            RouteReport(
                entry.kind,
                None if entry.methods is None else list(entry.methods),
                entry.path,
                verdict.chain,
                verdict.doubts if entry.code else [],
            )
            for entry, verdict in zip(table.entries, verdicts)
        ]
        report = Report(found + foreign, routes, everywhere.chain, startup.chain, self.foreign)
        if self.elsewhere:
            return report
        try:
            together = self.together(report, table, reach)
        except Exception as exc:  # source of some kind that nobody thought of
            together = [f"what cannot be read ({type(exc).__name__}: {exc})"]
        return replace(report, together=together)

    def together(self, report: Report, table: RouteTable, reach: Reach) -> list[str]:
        """Why the routes that need the GIL may not run apart from the rest; empty where they may, or where there are none."""
        from freelane.gil_lane.detect import sharing

        if report.everywhere and report.everywhere[-1] not in self.named:
            return [f"code around every route reaches {' -> '.join(report.everywhere)}"]
        told_of = told(table, self.told)[0]
        named = {index for index, route in enumerate(report.routes) if route.chain and route.chain[-1] in self.named}
        alone = [index for index, route in enumerate(report.routes) if index not in told_of and index not in named]
        moved = [index for index in alone if report.routes[index].chain or report.routes[index].doubts]
        if report.startup and report.startup[-1] not in self.named and (moved or not told_of):
            return [f"the lifespan reaches {' -> '.join(report.startup)}"]
        if not moved:
            return []
        doubts = [f"{table.entries[index].path}: {'; '.join(report.routes[index].doubts)}" for index in moved
                  if not report.routes[index].chain]  # fmt: skip
        unknown = [f"{name}, a route of a kind that cannot be read" for name in table.unreadable]
        if doubts or unknown:
            return [*doubts, *unknown]
        parts = (*table.everywhere, *(part for entry in table.entries for part in entry.code[1:]))
        around = [
            part for part in parts if isinstance(part, type) and any("__call__" in vars(base) for base in part.__mro__[:-1])
        ]
        return sharing.reasons(
            [*(node for index in moved for node in reach.groups[index]), *reach.groups[-1]],
            [*(node for index in alone if index not in moved for node in reach.groups[index]), *reach.groups[-1]],
            reach.startup,
            around,
        )


def inspect_app(target: str, settings: Settings) -> Report:
    """Import the app here and look at it."""
    inspection = Inspection(settings)
    try:
        app = load(target, **settings.loading)
    except BaseException as exc:
        if isinstance(exc, KeyboardInterrupt):
            raise
        import traceback

        return Report(extensions.survey(), error="".join(traceback.format_exception(exc)), foreign=inspection.foreign)
    return inspection.report(app, survey=True)


def foreign_in_use() -> list[str]:
    return sorted(
        {name for name, module in sys.modules.items() if isinstance(module, import_stubs.StandInModule) and "." not in name}
    )


def main(argv: Sequence[str] | None = None) -> int:
    spec = json.loads((sys.argv[1:] if argv is None else argv)[0])
    target = spec.pop("target")
    # What the app prints while it is imported is not the report.
    out = os.dup(1)
    os.dup2(2, 1)
    report = inspect_app(target, Settings(**spec))
    with os.fdopen(out, "w") as file:
        file.write(f"\n{MARKER}{report.to_json()}\n")
    sys.stderr.flush()
    # Threads that the app started are of no interest.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
