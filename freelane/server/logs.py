"""Logging set-up: `freelane.error` to stderr, `freelane.access` to stdout."""

from __future__ import annotations

import logging
import sys
import urllib.parse
from typing import Any

access = logging.getLogger("freelane.access")


def configure(level: str, process: str = "") -> None:
    """Give freelane's and Granian's loggers a handler each. Roots and the app's stay alone.

    ``process`` is named in each line, for a process that is not the server itself.
    """
    prefix = f"[{process}] " if process else ""
    number = logging.getLevelNamesMapping()[level.upper()]
    for name, stream, form in (
        ("freelane.error", sys.stderr, f"%(levelname)s: {prefix}%(message)s"),
        ("_granian", sys.stderr, "%(levelname)s: %(message)s"),
        ("freelane.access", sys.stdout, "%(message)s"),
    ):
        logger = logging.getLogger(name)
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter(form))
        logger.handlers[:] = [handler]
        logger.propagate = False
        # Granian tells of every worker and runtime it starts; the start line says that once.
        logger.setLevel(max(number, logging.WARNING) if name == "_granian" and number > logging.DEBUG else number)


def log_access(scope: dict[str, Any], status: int) -> None:
    """One line per response, in uvicorn's form."""
    client = scope["client"]
    target = urllib.parse.quote(scope["path"])
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("ascii", "replace")
    address = f"{client[0]}:{client[1]}" if client else ""
    if scope["type"] == "websocket":
        outcome = "[accepted]" if status == 101 else str(status)
        access.info('%s - "WebSocket %s" %s', address, target, outcome)
    else:
        access.info('%s - "%s %s HTTP/%s" %d', address, scope["method"], target, scope["http_version"], status)
