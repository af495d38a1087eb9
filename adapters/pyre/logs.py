"""The log that ``enable_logging`` prints, and Pyre's logging functions."""

from __future__ import annotations

import logging
import sys
from datetime import datetime

from freelane.adapters.pyre.requests import PyreRequest
from freelane.adapters.pyre.responses import Answer

LEVELS = {"debug": 0, "info": 1, "warn": 2, "warning": 2, "error": 3}
PYTHON_LEVELS = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
    "OFF": logging.CRITICAL + 10,
}


class RequestLog:
    """Prints one line a request: time, level by status, method, path, status, milliseconds."""

    def __init__(self, level: str) -> None:
        self.least = LEVELS.get(level.lower(), 1)

    def __call__(self, request: PyreRequest, answer: Answer, seconds: float) -> None:
        status = answer.status
        level = 3 if status >= 500 else 2 if status >= 400 else 1
        if level < self.least:
            return
        tag = ("INFO ", "WARN ", "ERROR")[level - 1]
        stamp = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        # A path may hold what a terminal takes for a command.
        path = request.path if request.path.isprintable() else ascii(request.path)
        print(f"  {stamp} [{tag}] {request.method} {path} → {status} ({seconds * 1000:.1f}ms)", flush=True)


def init_logger(level: str, access_log: bool, format: str) -> None:
    """Set the root logger's level and give it a handler on stderr if it has none; ``format`` is "text" or "json"."""
    root = logging.getLogger()
    root.setLevel(PYTHON_LEVELS.get(level.upper(), logging.DEBUG))
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JSONFormatter() if format == "json" else logging.Formatter(TEXT))
        root.addHandler(handler)


TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        from freelane.fastcore.json.writer import dumps

        fields = {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "target": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return dumps(fields).decode()


def emit_python_log(
    level: str, name: str, message: str, pathname: str = "", lineno: int = 0, worker_id: int | None = None
) -> None:
    """Log through the logger ``name``; Pyre's bridge to its own log."""
    logger = logging.getLogger(name)
    number = PYTHON_LEVELS.get(level.upper(), logging.DEBUG)
    if logger.isEnabledFor(number):
        logger.handle(logger.makeRecord(name, number, pathname, lineno, message, (), None))
