"""Find out, before the server imports an app, which of its endpoints need the GIL.

``python -m freelane.gil_lane.detect.report SPEC`` imports the app in an interpreter that is thrown
away and prints a report; ``detect`` runs that and reads it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from freelane.gil_lane import gil_watch
from freelane.gil_lane.detect.extensions import Extension
from freelane.settings import Settings

START = 120.0
MARKER = "freelane-report:"


@dataclass(frozen=True, slots=True)
class RouteReport:
    """One entry of the app's table. ``chain`` is the names that lead to an extension."""

    kind: str
    methods: list[str] | None
    path: str
    chain: list[str] | None = None
    doubts: list[str] = field(default_factory=list)
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What importing the app showed. ``error`` is a traceback where that failed."""

    extensions: list[Extension] = field(default_factory=list)
    routes: list[RouteReport] = field(default_factory=list)
    everywhere: list[str] | None = None
    startup: list[str] | None = None
    foreign: list[str] = field(default_factory=list)
    error: str | None = None

    @property
    def unsafe(self) -> list[Extension]:
        return [item for item in self.extensions if item.unsafe]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Report:
        values = json.loads(text)
        values["extensions"] = [Extension(**item) for item in values["extensions"]]
        values["routes"] = [RouteReport(**item) for item in values["routes"]]
        return cls(**values)


def detect(target: str, settings: Settings) -> Report:
    """The report on ``target``. An app that cannot be imported has one with an ``error``."""
    foreign = foreign_modules(settings.gil_python) if settings.gil_python is not None else []
    spec = {
        "target": target, "factory": settings.factory, "app_dir": settings.app_dir,
        "extensions": [name.removeprefix("module:") for name in settings.gil if name.startswith("module:")],
        "foreign": foreign, "alias": settings.alias,
    }  # fmt: skip
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
    code = (
        "import json, pkgutil, sys; print(json.dumps(sorted({m.name for m in pkgutil.iter_modules()} | "
        "set(sys.builtin_module_names))))"
    )
    try:
        done = subprocess.run([python, "-P", "-c", code], text=True, capture_output=True, timeout=60, check=True)
        theirs = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    import pkgutil

    ours = {module.name for module in pkgutil.iter_modules()} | set(sys.stdlib_module_names)
    return sorted(set(theirs) - ours)


def inspect_app(spec: dict[str, Any]) -> Report:
    """Import the app here and look at it."""
    from freelane.adapters.registry import route_table
    from freelane.gil_lane.decorator import marked
    from freelane.gil_lane.detect import extensions, import_graph, import_stubs
    from freelane.gil_lane.detect.call_graph import Reach
    from freelane.loader import load

    import_stubs.install(spec["foreign"])
    graph = import_graph.ImportGraph()
    graph.install()
    try:
        app = load(spec["target"], factory=spec["factory"], app_dir=spec["app_dir"], alias=spec["alias"])
    except BaseException as exc:
        if isinstance(exc, KeyboardInterrupt):
            raise
        return Report(extensions.survey(), error="".join(traceback.format_exception(exc)), foreign=spec["foreign"])
    table = route_table(app)
    named = set(spec["extensions"])
    judged: dict[str, bool] = {}

    def unsafe() -> set[str]:
        if gil_watch.free_threaded():
            for module in extensions.loaded():
                name = module.__spec__.name  # type: ignore[union-attr]
                if name not in judged:
                    judged[name] = not extensions.declares_safe(module)
        return named | {name for name, bad in judged.items() if bad}

    if gil_watch.free_threaded():
        # What a module says of itself is confirmed, once, by importing it alone.
        unsafe()
        for item in extensions.survey():
            judged[item.name] = item.unsafe
    reach = Reach(graph, unsafe)
    startup = reach.verdict(tuple(table.startup)).chain
    everywhere = reach.verdict(table.everywhere).chain
    routes = []
    for entry in table.entries:
        verdict = reach.verdict(entry.code, startup is not None)
        # Where nothing needs the GIL, what could not be followed does not matter.
        doubts = verdict.doubts if unsafe() else []
        is_marked = entry.gil or entry.endpoint is not None and marked(entry.endpoint)
        routes.append(
            RouteReport(
                entry.kind,
                None if entry.methods is None else list(entry.methods),
                entry.path,
                verdict.chain,
                doubts if entry.code else [],
                is_marked,
            )  # fmt: skip
        )
    graph.uninstall()
    found = extensions.survey()
    found += [extensions.Extension(name, "", "no wheel for this interpreter") for name in foreign_in_use()]
    return Report(found, routes, everywhere, startup, spec["foreign"])


def foreign_in_use() -> list[str]:
    from freelane.gil_lane.detect.import_stubs import StandInModule

    return sorted({name for name, module in sys.modules.items() if isinstance(module, StandInModule) and "." not in name})


def main(argv: Sequence[str] | None = None) -> int:
    spec = json.loads((sys.argv[1:] if argv is None else argv)[0])
    # What the app prints while it is imported is not the report.
    out = os.dup(1)
    os.dup2(2, 1)
    report = inspect_app(spec)
    with os.fdopen(out, "w") as file:
        file.write(f"\n{MARKER}{report.to_json()}\n")
    sys.stderr.flush()
    # Threads that the app started are of no interest.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
