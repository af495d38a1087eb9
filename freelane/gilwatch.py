"""Find out which module turned the GIL back on (PEP 703: an extension that does not opt out)."""

from __future__ import annotations

import re
import sys
import sysconfig
import threading
import warnings
from typing import Any

MESSAGE = re.compile(r"The global interpreter lock \(GIL\) has been enabled to load module '([^']+)'")


def free_threaded() -> bool:
    """Whether this interpreter was built without the GIL."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def enabled() -> bool:
    """Whether the GIL is on now."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


class GILWatch:
    """Listens for the interpreter's one warning while modules load, and names the module."""

    def __init__(self) -> None:
        self.module: str | None = None
        self.lock = threading.Lock()
        self.reported = False

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
        if not enabled():
            return "GIL off"
        if self.module:
            return f"GIL ON: '{self.module}' turned it on"
        return "GIL ON: by PYTHON_GIL or -X gil"

    def news(self) -> str | None:
        """A line to log, once, when the GIL was turned on since serving began."""
        with self.lock:
            if self.reported or not free_threaded() or not enabled():
                return None
            self.reported = True
        return (
            f"The GIL is on: importing '{self.module or 'an extension module'}' turned it on, so `def` endpoints "
            "no longer run in parallel. Use a build of it that supports free threading, or set PYTHON_GIL=0."
        )
