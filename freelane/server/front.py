"""What stands before every request, on Granian's thread: the health endpoint, the bounds on concurrency and on requests."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable
from typing import Any

from freelane.fastcore.asgi.http import answer_now
from freelane.settings import Settings

logger = logging.getLogger("freelane.error")


class Front:
    """Stands before ``schedule(watcher)``. ``running()`` counts requests, ``draining()`` tells whether the server ends.

    Called on any of Granian's threads; and but for a counter without state.
    """

    def __init__(
        self, schedule: Callable[[Any], None], settings: Settings, rsgi: bool, running: Callable[[], int],
        draining: Callable[[], bool], renew: Callable[[], None],
        arrive: Callable[[Any], None] | None = None,
    ) -> None:  # fmt: skip
        self.schedule = schedule
        self.health_path = settings.health_path
        self.limit = settings.limit_concurrency
        # Requests after which the process is replaced, and how many came; a number that is lost to a race is no matter.
        self.most = settings.limit_max_requests
        if self.most is not None:
            self.most = max(1, (self.most + random.randint(0, settings.limit_max_requests_jitter)) // settings.loops)
        self.count = itertools.count(1)
        self.renew = renew
        self.arrive = arrive
        self.rsgi = rsgi
        self.running = running
        self.draining = draining

    @staticmethod
    def wanted(settings: Settings) -> bool:
        wishes = (settings.health_path, settings.limit_concurrency, settings.limit_max_requests)
        return settings.measured or any(wish is not None for wish in wishes)

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
            if self.most is not None and next(self.count) % self.most == 0 and not self.draining():
                self.renew()
            if self.arrive is not None:
                self.arrive(source)
            self.schedule(watcher)
