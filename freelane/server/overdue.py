"""``--request-timeout``: requests whose answer has not ended in time are answered 504 and cancelled."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from freelane.fastcore.asgi.http import HTTPExchange

logger = logging.getLogger("freelane.error")


class Overdue:
    """Looks at the requests in progress on one loop, on its thread. ``count`` is how many were late."""

    def __init__(self, gateway: Any, timeout: float) -> None:
        self.gateway = gateway
        self.timeout = timeout
        self.count = 0
        # When each was first seen (loop time).
        self.seen: dict[HTTPExchange, float] = {}

    async def watch(self) -> None:
        interval = min(1.0, max(self.timeout / 10, 0.01))
        while True:
            self.look(asyncio.get_running_loop().time())
            await asyncio.sleep(interval)

    def look(self, now: float) -> None:
        active = {exchange for exchange in self.gateway.active if isinstance(exchange, HTTPExchange)}
        self.seen = {exchange: self.seen.get(exchange, now) for exchange in active}
        for exchange, since in self.seen.items():
            if now - since >= self.timeout and not exchange.overdue:
                self.count += 1
                logger.warning("%s %s took longer than %g s.", exchange.scope["method"], exchange.scope["path"], self.timeout)
                exchange.expire()
