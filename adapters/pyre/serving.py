"""``app.run()``: Pyre's options and environment, freelane's server."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from freelane.adapters.pyre.logs import init_logger
from freelane.adapters.pyre.reload import run_with_reload
from freelane.fastcore import launch

if TYPE_CHECKING:
    from freelane.adapters.pyre.app import Pyre

logger = logging.getLogger("freelane.pyre")

MODES = ("default", "auto", "gil", "subinterp", "async", "hybrid")


def number(name: str, value: int | None) -> int | None:
    """``value``, else the environment's. Raises ValueError for one that is no number."""
    if value is not None:
        return value
    text = os.environ.get(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} must be a whole number, not '{text}'") from None


def run(
    app: Pyre,
    host: str | None,
    port: int | None,
    workers: int | None,
    mode: str | None,
    reload: bool,
    io_workers: int | None,
) -> None:
    if os.environ.get("PYRE_WORKER") == "1":
        return  # only the routes are wanted
    host = host or os.environ.get("PYRE_HOST") or "127.0.0.1"
    port = number("PYRE_PORT", port)
    for name, value in (("PYRE_WORKERS", workers), ("PYRE_IO_WORKERS", io_workers)):
        wanted = number(name, value)
        if wanted is not None and wanted < 1:
            raise ValueError(f"{name} must be at least 1, not {wanted}")
    if mode is not None and mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not '{mode}'")
    if (reload or os.environ.get("PYRE_RELOAD") == "1") and os.environ.get("_PYRE_RELOAD_CHILD") != "1":
        run_with_reload()
        return
    if (os.environ.get("PYRE_LOG") == "1" or app.debug) and app.request_log is None:
        app.enable_logging()
    level = app._log_config["level"]
    if threading.current_thread() is threading.main_thread():
        init_logger(level, app._log_config["access_log"], app._log_config["format"])
    assert launch.make_server is not None
    app._server = launch.make_server(app, {"host": host, "port": 8000 if port is None else port})
    code = app._server.run()
    if code:
        raise SystemExit(code)


def announce(app: Any) -> None:
    """Say what an app's gil=True routes get where there is no gil lane."""
    routes = app.gil_routes()
    if routes and not app.in_gil_lane:
        logger.warning(
            "gil=True: %d routes (%s) run one at a time on a thread of their own",
            len(routes),
            ", ".join(f"{method} {path}" for method, path in routes[:5]) + (", ..." if len(routes) > 5 else ""),
        )
