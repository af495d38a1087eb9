"""Streamed responses: written from any thread, sent by the loop at the client's pace."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

# Chunks that may wait for the client before `send` refuses more.
CAPACITY = 1024


class Channel:
    """A bounded queue of chunks between writers on any thread and one reader on a loop.

    ``lock`` guards everything but the constants.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.lock = threading.Lock()
        self.chunks: deque[bytes] = deque()
        self.closed = False  # by the writer
        self.gone = False  # the client is, or the response
        self.taken = False
        self.waiter: asyncio.Future[None] | None = None
        self.room: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self.source: Any = None

    @classmethod
    def of(cls, source: Iterator[Any] | AsyncIterator[Any]) -> Channel:
        """A channel that is read from an iterator, one chunk at a time."""
        channel = cls()
        channel.source = source
        return channel

    def put(self, data: bytes) -> None:
        """Raises ConnectionError when nobody reads any more, BlockingIOError when full."""
        with self.lock:
            if self.closed:
                raise ConnectionError("stream was explicitly closed")
            if self.gone:
                raise ConnectionError("client disconnected")
            if len(self.chunks) >= self.capacity:
                raise BlockingIOError("stream buffer full (client is slow); retry after a brief pause")
            self.chunks.append(data)
            waiter, self.waiter = self.waiter, None
        wake(waiter)

    async def wait_for_room(self) -> None:
        """Until fewer than half of the chunks wait."""
        loop = asyncio.get_running_loop()
        while True:
            with self.lock:
                if self.closed or self.gone or len(self.chunks) < self.capacity:
                    return
                future: asyncio.Future[None] = loop.create_future()
                self.room.append((loop, future))
            await future

    def close(self, *, gone: bool = False) -> None:
        with self.lock:
            if gone:
                self.gone = True
                self.chunks.clear()
            else:
                self.closed = True
            waiter, self.waiter = self.waiter, None
            room, self.room = self.room, []
        wake(waiter)
        for _, future in room:
            wake(future)

    async def get(self) -> bytes | None:
        """The chunks that wait, as one; None after the last."""
        loop = asyncio.get_running_loop()
        while True:
            with self.lock:
                if self.gone:
                    return None
                if self.chunks:
                    data = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
                    self.chunks.clear()
                    room, self.room = self.room, []
                    break
                if self.closed:
                    return None
                self.waiter = waiter = loop.create_future()
            await waiter
        for _, future in room:
            wake(future)
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.source is None:
            while (data := await self.get()) is not None:
                yield data
        elif hasattr(self.source, "__anext__"):
            async for item in self.source:
                yield as_bytes(item)
        else:
            # Its steps may block, and one after the other is what a generator needs.
            import anyio.to_thread

            end = object()
            while (item := await anyio.to_thread.run_sync(next, self.source, end)) is not end:
                yield as_bytes(item)

    async def finish(self) -> None:
        """The response is over: let writers know, and generators clean up."""
        self.close(gone=True)
        if self.source is not None and hasattr(self.source, "aclose"):
            await self.source.aclose()
        elif self.source is not None and hasattr(self.source, "close"):
            self.source.close()


def wake(future: asyncio.Future[None] | None) -> None:
    if future is None:
        return
    try:
        future.get_loop().call_soon_threadsafe(resolve, future)
    except RuntimeError:
        pass  # the loop is closed: nobody waits any more


def resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def as_bytes(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)


def one_line(name: str, value: str) -> str:
    # HTML, "Server-sent events", 9.2.6: a field ends at CR, LF or CRLF; an id must not have NUL.
    if any(letter in value for letter in "\r\n\0"):
        raise ValueError(f"an SSE {name} cannot contain line breaks or NUL: {value!r}")
    return value


class PyreStream:
    """A streamed response. Return it from a handler and ``send`` from any thread.

    ``send`` never waits: it raises BlockingIOError when ``CAPACITY`` chunks wait for a slow
    client, ConnectionError after ``close`` or when the client is gone. ``await asend()``
    waits for room instead. A stream nobody holds any more is closed.
    """

    __slots__ = ("channel", "owner", "content_type", "status_code", "headers", "__weakref__")

    def __init__(
        self, content_type: str | None = None, status_code: int = 200, headers: Mapping[str, Any] | None = None
    ) -> None:
        self.channel = Channel()
        self.owner = True
        self.content_type = content_type or "text/event-stream"
        self.status_code = status_code
        self.headers: dict[str, Any] = dict(headers or {})

    @classmethod
    def over(cls, channel: Channel) -> PyreStream:
        """The same stream again, for a response that is made of another one."""
        self = cls.__new__(cls)
        self.channel, self.content_type, self.status_code, self.headers = channel, "text/event-stream", 200, {}
        self.owner = False
        channel.taken = False
        return self

    def __del__(self) -> None:
        if getattr(self, "owner", False) and not self.channel.closed:
            self.channel.close()

    def send(self, data: str | bytes) -> None:
        """Send a chunk as it is."""
        self.channel.put(as_bytes(data))

    async def asend(self, data: str | bytes) -> None:
        """``send`` that waits while the client is slow."""
        await self.channel.wait_for_room()
        self.send(data)

    def send_event(self, data: str, event: str | None = None, id: str | None = None) -> None:
        """Send a server-sent event (HTML, 9.2). Raises ValueError for line breaks in ``event`` or ``id``."""
        self.send(format_event(data, event, id))

    async def asend_event(self, data: str, event: str | None = None, id: str | None = None) -> None:
        """``send_event`` that waits while the client is slow."""
        await self.asend(format_event(data, event, id))

    def close(self) -> None:
        """End the response once what was sent is out. May be called twice."""
        self.channel.close()

    @property
    def closed(self) -> bool:
        """Whether a ``send`` would raise ConnectionError."""
        return self.channel.closed or self.channel.gone

    def take(self) -> Channel:
        """The channel, for the one response that this is."""
        if self.channel.taken:
            raise RuntimeError("PyreStream already consumed")
        self.channel.taken = True
        return self.channel


def format_event(data: str, event: str | None = None, id: str | None = None) -> str:
    lines = []
    if id is not None:
        lines.append(f"id: {one_line('id', id)}")
    if event is not None:
        lines.append(f"event: {one_line('event', event)}")
    # Not splitlines(): it also splits where SSE does not.
    body = data.replace("\r\n", "\n").replace("\r", "\n")
    lines += [f"data: {line}" for line in body.removesuffix("\n").split("\n")]
    return "\n".join(lines) + "\n\n"
