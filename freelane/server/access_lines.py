"""The access log's own way to stdout, where nobody has configured another: a line costs less than half a log record.

Lines are gathered and written by a thread of their own, in the order in which responses began.
"""

from __future__ import annotations

import functools
import http
import logging
import sys
import threading
import urllib.parse
from collections import deque
from typing import Any

# How long a line may wait (seconds).
INTERVAL = 0.05

quote = functools.lru_cache(maxsize=1024)(urllib.parse.quote)


@functools.lru_cache(maxsize=1024)
def status_of(status: int) -> str:
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} "


class Last(logging.Handler):
    """Writes what is there when logging ends."""

    def __init__(self, lines: AccessLines) -> None:
        super().__init__()
        self.lines = lines

    def close(self) -> None:
        self.lines.close()
        super().close()


class AccessLines:
    """Writes uvicorn's lines for as long as ``logger`` is as ``logs.configure`` left it. Any thread may call ``write``."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.handlers = list(logger.handlers)
        # Appended to by any thread, emptied by the writer alone.
        self.lines: deque[str] = deque()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, name="freelane-access", daemon=True)
        self.thread.start()
        # Every end of ours goes by `logging.shutdown`, which flushes and closes what handlers there are.
        self.handler = Last(self)

    def plain(self) -> bool:
        """Whether a record would be written as it is here: no handler, filter or level of somebody else's."""
        logger = self.logger
        return logger.handlers == self.handlers and not logger.filters and logger.isEnabledFor(logging.INFO)

    def write(self, scope: Any, status: int) -> None:
        client, target = scope["client"], quote(scope["path"])
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("ascii", "replace")
        address = f"{client[0]}:{client[1]}" if client else ""
        self.lines.append(
            f'INFO:     {address} - "{scope["method"]} {target} HTTP/{scope["http_version"]}" {status_of(status)}\n'
        )

    def run(self) -> None:
        while not self.stopped.wait(INTERVAL):
            self.flush()

    def flush(self) -> None:
        lines = self.lines
        text = "".join([lines.popleft() for _ in range(len(lines))])
        if text:
            try:
                sys.stdout.write(text)
                sys.stdout.flush()
            except (OSError, ValueError):  # as logging, which goes on where nobody reads
                return

    def close(self) -> None:
        """Write what is there."""
        if not self.stopped.is_set():
            self.stopped.set()
            if self.thread is not threading.current_thread() and self.thread.is_alive():
                self.thread.join(1)
            self.flush()


def own_way(logger: logging.Logger) -> AccessLines | None:
    """Lines of our own for a logger that has our handler without colours; None for another one."""
    from freelane.server import logs

    handlers = logger.handlers
    if len(handlers) != 1 or type(handlers[0]) is not logging.StreamHandler or handlers[0].stream is not sys.stdout:
        return None
    formatter = handlers[0].formatter
    if type(formatter) is not logs.AccessLines or formatter.colours or formatter.prefix or formatter.form is not None:
        return None
    return AccessLines(logger)
