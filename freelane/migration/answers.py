"""An app's answer to a copy of a request, kept whole."""

from __future__ import annotations

import asyncio
from typing import Any

from freelane.bench.answer import Answer

# A longer answer is not compared, nor a longer body copied (bytes).
MOST = 1 << 20
# What a server sends for an app that raises before its response begins.
CRASHED = Answer(500, (("content-type", "text/plain; charset=utf-8"),), b"Internal Server Error")


class TooLong(Exception):
    """An answer that is not kept: too long, or a stream that has no end of its own."""


class Kept:
    """Puts an answer together from what an app sends. ``whole`` once it has ended; ``lost`` says why it cannot be compared."""

    __slots__ = ("body", "headers", "lost", "size", "status", "whole")

    def __init__(self) -> None:
        self.status = 0
        self.headers: Any = ()
        self.body: list[bytes] | bytes = b""
        self.size = 0
        self.lost = ""
        self.whole = False

    def take(self, message: Any) -> None:
        """A message of the app's, in its order."""
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            self.headers = message.get("headers", ())
            if any(name.lower() == b"content-type" and b"text/event-stream" in value for name, value in self.headers):
                self.lost = "stream"
        elif kind == "http.response.body":
            self.add(message.get("body", b""))
            self.whole = not message.get("more_body", False)
        elif kind != "http.response.debug":
            self.lost = "other"  # a file that the server reads, trailers: not seen here
            self.whole = kind == "http.response.pathsend" or kind == "http.response.zerocopysend"

    def add(self, part: bytes) -> None:
        if self.lost or not part:
            return
        if not self.body:
            self.body = part
        elif isinstance(self.body, list):
            self.body.append(part)
        else:
            self.body = [self.body, part]
        self.size += len(part)
        if self.size > MOST:
            self.body, self.lost = b"", "long"

    def answer(self) -> Answer:
        body = b"".join(self.body) if isinstance(self.body, list) else bytes(self.body)
        headers = tuple((bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1")) for name, value in self.headers)
        return Answer(self.status, headers, body)


async def ask(app: Any, scope: Any, body: bytes, running: set[asyncio.Task[Any]]) -> Answer:
    """What the app answers, on the running loop; what it does afterwards goes on in ``running``. Raises TooLong."""
    loop = asyncio.get_running_loop()
    kept, ended = Kept(), loop.create_future()
    unread: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    def end(task: Any = None) -> None:
        if not ended.done():
            ended.set_result(None)

    async def receive() -> Any:
        if unread:
            return unread.pop()
        await asyncio.shield(ended)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        kept.take(message)
        if kept.whole or kept.lost:
            end()

    task = loop.create_task(app(scope, receive, send))
    running.add(task)
    for callback in (running.discard, retrieve, end):
        task.add_done_callback(callback)
    try:
        await ended
    except asyncio.CancelledError:
        task.cancel()
        raise
    if kept.lost:
        task.cancel()
        raise TooLong(kept.lost)
    if kept.whole:
        return kept.answer()
    if kept.status:
        return Answer(kept.status, problem="the answer broke off")
    failed = not task.cancelled() and task.exception() is not None
    return CRASHED if failed else Answer(problem="no answer")


def retrieve(task: asyncio.Task[Any]) -> None:
    """Look at what a task raised, so that asyncio does not print it: it may quote the request."""
    if not task.cancelled():
        task.exception()
