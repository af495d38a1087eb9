"""``freelane check``: what serving an app would mean, without serving it."""

from __future__ import annotations

import json
import sys
import sysconfig
from typing import Any

from freelane.adapters import registry
from freelane.errors import EXIT_FOUND
from freelane.gil_lane import gil_watch
from freelane.gil_lane.check import Findings, columns, extension_table, findings
from freelane.gil_lane.detect import import_stubs
from freelane.gil_lane.detect.report import detect
from freelane.loader import load
from freelane.settings import Settings


def run(target: str, settings: Settings, as_json: bool) -> int:
    """Print what was found; returns 0, or 1 where something needs a person."""
    report = detect(target, settings)
    if report.error is not None:
        problem = f"the app cannot be imported:\n{report.error.rstrip()}"
        found = Findings(report.extensions, [], [problem])
        rows: list[dict[str, Any]] = []
    else:
        import_stubs.install(report.foreign)
        # The interpreter's own warning says less than the table.
        gil_watch.GILWatch().install()
        app = load(target, factory=settings.factory, app_dir=settings.app_dir, alias=settings.alias)
        table = registry.route_table(app)
        found = findings(table, settings, report)
        rows = routes(app, found)
    if as_json:
        interpreter = {"python": sys.version.split()[0], "free_threaded": gil_watch.free_threaded(),
                       "platform": sysconfig.get_platform()}  # fmt: skip
        print(json.dumps({**interpreter, "routes": rows, **found.as_json()}, indent=2))
    else:
        print(text(rows, found))
    return EXIT_FOUND if found.problems else 0


def routes(app: Any, found: Findings) -> list[dict[str, Any]]:
    """One row for each route: its lane and the reason for it."""
    served = {(item.path, item.methods): item for item in registry.adapter_of(app).describe(app)}
    gil = {(item.kind, item.path, tuple(item.methods or ())): item for item in found.gil_routes}
    rows = []
    for entry in registry.route_table(app).entries:
        if entry.endpoint is None:
            continue
        item = gil.pop((entry.kind, entry.path, entry.methods or ()), None)
        here = served.get((entry.path, frozenset(entry.methods) if entry.methods else None))
        lane, compiled, reason = "loop", False, ""
        if here is not None and entry.kind == "http":
            lane, compiled, reason = here.lane, here.compiled, here.reason
        if item is not None:
            lane, reason = "gil", item.reason
        rows.append({
            "methods": list(entry.methods) if entry.methods else [],
            "path": entry.path + ("/*" if entry.prefix else ""),
            "kind": entry.kind,
            "lane": lane,
            "compiled": compiled,
            "reason": reason,
        })  # fmt: skip
    # What is left is paths that the settings name.
    rows += [{"methods": [], "path": item.path, "kind": item.kind, "lane": "gil", "compiled": False, "reason": item.reason}
             for item in gil.values()]  # fmt: skip
    return rows


def text(rows: list[dict[str, Any]], found: Findings) -> str:
    parts = [extension_table(found.extensions)]
    if rows:
        table = []
        for row in rows:
            methods = "WebSocket" if row["kind"] == "websocket" else ", ".join(row["methods"]) or "any"
            table.append((methods, row["path"], row["lane"], "compiled" if row["compiled"] else "-", row["reason"]))
        parts.append(columns(("methods", "path", "lane", "", "reason"), table))
    if not gil_watch.free_threaded():
        parts.append("This interpreter has the GIL: only what is marked or named is in the gil lane.")
    if found.problems:
        parts.append("Needs a person:\n" + "\n".join(f"- {problem}" for problem in found.problems))
    return "\n\n".join(parts)
