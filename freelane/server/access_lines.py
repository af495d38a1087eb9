"""The access log's own way to stdout, where nobody has configured another: a line costs less than half a log record.

Lines are gathered, and written in the order in which responses began: by the thread that has the last of a batch, since on
free-threaded Python it is dear to free what another one made, or a moment later by a thread of their own.
"""

from __future__ import annotations

import http
import logging
import sys
import threading
import urllib.parse
from collections import deque
from collections.abc import Callable
from typing import Any

# How long a line may wait (seconds).
INTERVAL = 0.05
# How many lines are written at once by whoever has the last.
BATCH = 32

# How many different requests, and clients, are remembered as text.
REMEMBERED = 4096

# Method, path, query, version and status of a request.
Request = tuple[str, str, bytes, str, int]


def address_text(client: Any) -> str:
    return f"INFO:     {client[0]}:{client[1]}" if client else "INFO:     "


def request_text(request: Request) -> str:
    method, path, query, version, status = request
    target = urllib.parse.quote(path)
    if query:
        target += "?" + query.decode("ascii", "replace")
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f' - "{method} {target} HTTP/{version}" {status} {phrase}\n'


class Texts(dict[Any, str]):
    """Texts by what ``make`` made them of; for any thread."""

    def __init__(self, make: Callable[[Any], str]) -> None:
        self.make = make

    def __missing__(self, key: Any) -> str:
        if len(self) >= REMEMBERED:
            self.clear()
        text = self[key] = self.make(key)
        return text


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
        # Appended to by any thread; emptied, and written, by who has the lock.
        self.lines: deque[str] = deque()
        self.lock = threading.Lock()
        self.addresses, self.requests = Texts(address_text), Texts(request_text)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, name="freelane-access", daemon=True)
        self.thread.start()
        # Every end of ours goes by `logging.shutdown`, which flushes and closes what handlers there are.
        self.last = Last(self)

    def write(self, scope: Any, status: int) -> bool:
        """Write a line; False where somebody has put a handler, filter or level of their own in the logger's way."""
        logger = self.logger
        handlers = logger.handlers
        if len(handlers) != 1 or handlers[0] is not self.handler or logger.filters or logger.disabled:
            return False
        if not 0 < logger.level <= logging.INFO or logger.manager.disable >= logging.INFO:
            return False
        request = scope["method"], scope["path"], scope["query_string"], scope["http_version"], status
        client = scope["client"]
        try:
            text = self.addresses[client] + self.requests[request]
        except TypeError:  # an app may put there what no dict takes
            text = address_text(client) + request_text(request)
        self.lines.append(text)
        if len(self.lines) >= BATCH and self.lock.acquire(blocking=False):
            try:
                self.put()
            finally:
                self.lock.release()
        return True

    def run(self) -> None:
        while not self.stopped.wait(INTERVAL):
            self.flush()

    def flush(self) -> None:
        with self.lock:
            self.put()

    def put(self) -> None:
        """Write what is there, with the lock."""
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
