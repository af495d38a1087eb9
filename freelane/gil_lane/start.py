"""Before the server imports an app: find out what it needs, and keep the GIL off if it needs the lane."""

from __future__ import annotations

import os
import sys
import tempfile

from freelane.gil_lane import gil_watch
from freelane.gil_lane.detect import import_stubs
from freelane.gil_lane.detect.report import Report, detect
from freelane.settings import Settings

# The descriptor of a file with the report that the process before the restart has made.
HANDED_OVER = "FREELANE_GIL_REPORT"


def prepare(target: str, settings: Settings, restart: bool) -> Report | None:
    """What importing ``target`` in a throw-away interpreter shows; None where nobody asked.

    With ``restart`` this process is replaced, where need be, by one that keeps the GIL off.
    """
    report = handed_over()
    if report is None and wants_report(settings):
        report = detect(target, settings)
    marked = report is not None and bool(report.unsafe or any(route.marked for route in report.routes))
    if restart and (settings.gil or marked):
        keep_gil_off(report)
    if report is not None:
        import_stubs.install(report.foreign)
    return report


def wants_report(settings: Settings) -> bool:
    return settings.gil_python is not None or (settings.gil_auto == "on" and gil_watch.free_threaded())


def handed_over() -> Report | None:
    number = os.environ.pop(HANDED_OVER, None)
    if number is None:
        return None
    with os.fdopen(int(number)) as file:
        file.seek(0)
        text = file.read()
    return Report.from_json(text) if text else None


def keep_gil_off(report: Report | None = None) -> None:
    """Restart this process with ``-X gil=0``, unless whoever started it has decided."""
    if not gil_watch.free_threaded() or gil_watch.decided():
        return
    file = tempfile.TemporaryFile("w")
    file.write(report.to_json() if report is not None else "")
    file.flush()
    os.set_inheritable(file.fileno(), True)
    os.environ[HANDED_OVER] = str(file.fileno())
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-X", "gil=0", *sys.orig_argv[1:]])
