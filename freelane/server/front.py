"""What stands before every request, on Granian's thread: the health endpoint and the bound on concurrency."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from freelane.fastcore.asgi.http import answer_now
from freelane.settings import Settings

logger = logging.getLogger("freelane.error")


class Front:
    """Stands before ``schedule(watcher)``. ``running()`` counts requests, ``draining()`` tells whether the server ends.

    Called on any of Granian's threads; has no state of its own.
    """

    def __init__(
        self, schedule: Callable[[Any], None], settings: Settings, rsgi: bool, running: Callable[[], int],
        draining: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.schedule = schedule
        self.health_path = settings.health_path
        self.limit = settings.limit_concurrency
        self.rsgi = rsgi
        self.running = running
        self.draining = draining

    @staticmethod
    def wanted(settings: Settings) -> bool:
        return settings.health_path is not None or settings.limit_concurrency is not None

    def __call__(self, watcher: Any) -> None:
        source = watcher.scope
        if self.rsgi:
            path, http = source.path, source.proto == "http"
        else:
            path, http = source["path"], source["type"] == "http"
        if http and path == self.health_path:
            # Readiness; that it is answered at all is liveness.
            if self.draining():
                answer_now(watcher.proto, self.rsgi, 503, b"draining")
            else:
                answer_now(watcher.proto, self.rsgi, 200, b"ok")
        elif http and self.limit is not None and self.running() >= self.limit:
            logger.warning("Exceeded concurrency limit.")
            answer_now(watcher.proto, self.rsgi, 503, b"Service Unavailable")
        else:
            self.schedule(watcher)
