"""The GIL from the start of the command until its app is imported and known.

``freelane run`` keeps it off before anything of the app is imported, since what is imported
could turn it on for good, and lets go of it again where the app turns out not to need that.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

# The -X option that says that ``keep_gil_off`` has done it, and not a person.
OURS = "freelane_kept_off"


def keep_gil_off() -> None | NoReturn:
    """Keep the GIL off, unless whoever started this command decided what it is to be.

    Starts the command over with ``-X gil=0`` where the running interpreter cannot be told.
    """
    if "t" not in sys.abiflags or "gil" in sys._xoptions or os.environ.get("PYTHON_GIL"):
        return None
    from freelane.fastcore.threads import gil

    if gil.keep_off():
        sys._xoptions[OURS] = True
        return None
    os.execv(sys.executable, [sys.executable, "-X", "gil=0", "-X", OURS, *sys.orig_argv[1:]])


def begin(settings: Any) -> Any:
    """What looks at the app that is imported next; None where nobody asked for that."""
    from freelane.gil_lane import gil_watch

    wanted = settings.gil_python is not None or (settings.gil_auto == "on" and gil_watch.free_threaded())
    if not wanted:
        if not settings.gil:
            let_go()
        return None
    from freelane.gil_lane.detect.report import Inspection

    return Inspection(settings)


def settle(needed: bool, together: bool) -> None:
    """The app is known: keep the GIL off where the gil lane serves what asks for it, else let who asks have it.

    ``together``: turn it on, for an app that cannot be served in parts. What somebody else decided stays.
    """
    if together:
        if OURS in sys._xoptions or "gil" not in sys._xoptions and not os.environ.get("PYTHON_GIL"):
            from freelane.fastcore.threads import gil

            gil.turn_on()
    elif not needed:
        let_go()


def let_go() -> None:
    """Undo ``keep_gil_off``; what somebody else decided stays."""
    if OURS in sys._xoptions:
        from freelane.fastcore.threads import gil

        gil.permit()
