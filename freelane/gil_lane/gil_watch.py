"""Find out which module turned the GIL back on (PEP 703: an extension that does not opt out)."""

from __future__ import annotations

import os
import re
import sys
import threading
import warnings
from typing import Any

# As every such build calls itself; asking sysconfig takes 15 ms.
FREE_THREADED = "free-threading build" in sys.version
MESSAGE = re.compile(r"The global interpreter lock \(GIL\) has been enabled to load module '([^']+)'")


def free_threaded() -> bool:
    """Whether this interpreter was built without the GIL."""
    return FREE_THREADED


def enabled() -> bool:
    """Whether the GIL is on now."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def kept_off() -> bool:
    """Whether the GIL stays off whatever a module asks for (``-X gil=0``, ``PYTHON_GIL=0``)."""
    return free_threaded() and (sys._xoptions.get("gil") or os.environ.get("PYTHON_GIL")) == "0"


class GILWatch:
    """Listens for the interpreter's one warning while modules load, and names the module."""

    def __init__(self) -> None:
        self.module: str | None = None
        # Why we turned it on ourselves, or would have.
        self.reason: str | None = None
        self.lock = threading.Lock()
        self.reported = False
        # Names of modules seen before, to find those that come while serving.
        self.known: set[str] | None = None

    def install(self) -> None:
        show = warnings.showwarning

        def showwarning(message: Any, category: Any, *args: Any, **kwargs: Any) -> None:
            found = MESSAGE.search(str(message))
            if found is None:
                show(message, category, *args, **kwargs)
            else:
                with self.lock:
                    self.module = found.group(1)

        warnings.showwarning = showwarning

    def describe(self) -> str:
        """One line for people."""
        if not free_threaded():
            return "GIL on (this is not a free-threaded build)"
        if self.reason:
            return f"GIL {'ON' if enabled() else 'off, kept off by -X gil=0, unsafely'}: {self.reason}"
        if not enabled():
            return "GIL off, kept off by -X gil=0" if kept_off() else "GIL off"
        if self.module:
            return f"GIL ON: '{self.module}' turned it on"
        return "GIL ON: by PYTHON_GIL or -X gil"

    def news(self) -> str | None:
        """A line to log, once for each cause, when the GIL was turned on, or would have been, since the last call."""
        if kept_off():
            return self.late_import()
        with self.lock:
            if self.reported or self.reason or not free_threaded() or not enabled():
                return None
            self.reported = True
        return (
            f"The GIL is on: importing '{self.module or 'an extension module'}' turned it on, so `def` endpoints "
            "no longer run in parallel. Use a build of it that supports free threading, or set PYTHON_GIL=0."
        )

    def late_import(self) -> str | None:
        """Where the GIL is kept off: the modules imported since the last call that would have turned it on."""
        names = set(sys.modules)
        with self.lock:
            known, self.known = self.known, names
        if known is None or names <= known:
            return None
        from freelane.gil_lane.detect import extensions

        asked = [module.__name__ for module in extensions.loaded()
                 if module.__name__ not in known and extensions.declares_safe(module) is False]  # fmt: skip
        if not asked:
            return None
        return (
            f"'{"', '".join(asked)}' was imported while serving and asks for the GIL, which is kept off here: what calls "
            "it may fail. Mark the endpoint with @freelane.gil, or name it in `gil` of [tool.freelane]."
        )
