"""``freelane check`` and ``freelane routes``: what serving an app would mean, without serving it."""

from __future__ import annotations

import json
import sys
import sysconfig
from typing import Any

import click

from freelane.adapters import registry
from freelane.build import toolchain
from freelane.cli.options import settings_command
from freelane.cli.run import choose, load_app
from freelane.errors import EXIT_FOUND
from freelane.gil_lane import gil_watch
from freelane.gil_lane.check import Findings, columns, extension_table, findings
from freelane.gil_lane.detect import import_stubs
from freelane.gil_lane.detect.report import Inspection, detect
from freelane.loader import load
from freelane.settings import resolve


def check(target: str | None, given: dict[str, Any], as_json: bool) -> int:
    """Import an app in an interpreter that is thrown away, and say what `freelane run` would do with it.

    Exits with 1 where something needs a person; with --compiled, where `freelane build` cannot work.
    """
    settings, target = resolve(given), choose(target)
    blocked = toolchain.obstacle() if settings.compiled else None
    report = detect(target, settings)
    if report.error is not None:
        problem = f"the app cannot be imported:\n{report.error.rstrip()}"
        found = Findings(report.extensions, [], [problem])
        rows: list[dict[str, Any]] = []
    else:
        import_stubs.install(report.foreign)
        # The interpreter's own warning says less than the table.
        gil_watch.GILWatch().install()
        app = load(target, **settings.loading)
        table = registry.route_table(app)
        found = findings(table, settings, report)
        rows = routes(app, found)
    if as_json:
        interpreter = {"python": sys.version.split()[0], "free_threaded": gil_watch.free_threaded(),
                       "platform": sysconfig.get_platform()}  # fmt: skip
        print(json.dumps({**interpreter, "routes": rows, **found.as_json()}, indent=2))
    else:
        print(text(rows, found))
        print(f"\n{columns(('for freelane build', '', 'what to do'), toolchain.parts())}")
        if blocked is not None:
            print(f"\n{blocked}")
    return EXIT_FOUND if found.problems or blocked is not None else 0


def show_routes(target: str | None, given: dict[str, Any], as_json: bool) -> int:
    """Print the routes of an app, the lane that serves each, and why."""
    settings, target = resolve(given), choose(target)
    gil_watch.GILWatch().install()
    inspection = Inspection(settings)
    app = load_app(target, settings)
    found = findings(registry.route_table(app), settings, inspection.report(app))
    rows = routes(app, found)
    print(json.dumps(rows, indent=2) if as_json else route_table(rows) or "The app has no routes that can be seen.")
    return 0


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
            "gil": found.gil or lane == "gil",
            "compiled": compiled,
            "reason": reason,
        })  # fmt: skip
    # What is left is paths that the settings name.
    rows += [{"methods": [], "path": item.path, "kind": item.kind, "lane": "gil", "gil": True, "compiled": False,
              "reason": item.reason} for item in gil.values()]  # fmt: skip
    return rows


def route_table(rows: list[dict[str, Any]]) -> str:
    table = []
    for row in rows:
        methods = "WebSocket" if row["kind"] == "websocket" else ", ".join(row["methods"]) or "any"
        told = row["gil"] and row["lane"] != "gil" and gil_watch.free_threaded()
        lane = f"{row['lane']}, GIL on" if told else row["lane"]
        table.append((methods, row["path"], lane, "compiled" if row["compiled"] else "-", row["reason"]))
    return columns(("methods", "path", "lane", "", "reason"), table) if table else ""


def text(rows: list[dict[str, Any]], found: Findings) -> str:
    parts = [extension_table(found.extensions)]
    if rows:
        parts.append(route_table(rows))
    if not gil_watch.free_threaded():
        parts.append("This interpreter has the GIL: only what is marked or named is in the gil lane.")
    if found.problems:
        parts.append("Needs a person:\n" + "\n".join(f"- {problem}" for problem in found.problems))
    return "\n\n".join(parts)


AS_JSON = click.Option(["--json", "as_json"], is_flag=True, help="print JSON")
commands = {
    "check": settings_command("check", "say what of an app needs the GIL, and which lane serves each route", check, [AS_JSON]),
    "routes": settings_command("routes", "the routes of an app and the lane of each", show_routes, [AS_JSON]),
}
