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

# How many different requests, and clients, are remembered as text.
REMEMBERED = 4096


@functools.lru_cache(REMEMBERED)
def address_of(client: Any) -> str:
    return f"INFO:     {client[0]}:{client[1]}" if client else "INFO:     "


@functools.lru_cache(REMEMBERED)
def request_of(method: str, path: str, query: bytes, version: str, status: int) -> str:
    target = urllib.parse.quote(path)
    if query:
        target += "?" + query.decode("ascii", "replace")
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f' - "{method} {target} HTTP/{version}" {status} {phrase}\n'


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
        (self.handler,) = logger.handlers
        # Client and request of each line. Appended to by any thread, emptied by the writer alone.
        self.lines: deque[tuple[Any, ...]] = deque()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, name="freelane-access", daemon=True)
        self.thread.start()
        # Every end of ours goes by `logging.shutdown`, which flushes and closes what handlers there are.
        self.last = Last(self)

    def plain(self) -> bool:
        """Whether a record would be written as it is here: no handler, filter or level of somebody else's."""
        logger = self.logger
        handlers = logger.handlers
        if len(handlers) != 1 or handlers[0] is not self.handler or logger.filters:
            return False
        return logger.isEnabledFor(logging.INFO)

    def write(self, scope: Any, status: int) -> None:
        request = scope["method"], scope["path"], scope["query_string"], scope["http_version"], status
        self.lines.append((scope["client"], *request))

    def run(self) -> None:
        while not self.stopped.wait(INTERVAL):
            self.flush()

    def flush(self) -> None:
        lines = self.lines
        text = "".join([text_of(*lines.popleft()) for _ in range(len(lines))])
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


def text_of(client: Any, *request: Any) -> str:
    try:
        return address_of(client) + request_of(*request)
    except TypeError:  # an app may put there what cannot be remembered
        return address_of.__wrapped__(client) + request_of.__wrapped__(*request)


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
