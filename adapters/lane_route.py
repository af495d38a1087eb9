"""What stands in the place of a route of the gil lane in the server's process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

# (scope, receive, send): runs the route in a process of the lane.
Run = Callable[[Any, Any, Any], Awaitable[None]]


class LaneRoute:
    """An ASGI app that lets the gil lane answer in the place of ``original``, where the running loop has one.

    ``find()`` gives what does that for the running loop, or None.
    """

    def __init__(self, original: Any, find: Callable[[], Run | None]) -> None:
        self.original = original
        self.find = find

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        run = self.find()
        await (self.original if run is None else run)(scope, receive, send)
