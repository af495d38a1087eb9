"""WebSocket handlers: each on a thread of its own, as in Pyre, with blocking and awaitable calls."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from freelane.adapters.pyre.requests import PyreRequest

logger = logging.getLogger("freelane.pyre")

# Messages that may wait for a slow handler, and for a slow client.
CAPACITY = 1024


class PyreWebSocket:
    """One connection, as its handler sees it.

    ``recv`` and its like block the handler's own thread and return None once the connection
    is closed; ``receive``, ``asend`` and ``aclose`` are for ``async def`` handlers. ``send``
    raises BlockingIOError when the client is slow, ConnectionError when it is gone.
    ``close_code`` is the client's, once it has closed.
    """

    def __init__(self, request: PyreRequest, loop: asyncio.AbstractEventLoop, send: Callable[[Any], Any]) -> None:
        self.request = request
        self.close_code: int | None = None
        self._loop = loop
        self._send = send
        self._ready = threading.Condition()  # guards all below
        self._incoming: deque[str | bytes] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._room: asyncio.Future[None] | None = None
        self._outgoing: deque[dict[str, Any]] = deque()
        self._work: asyncio.Future[None] | None = None
        self._ended = False  # nothing more will come in
        self._closed = False  # nothing more may go out

    # -- for handlers

    @property
    def params(self) -> dict[str, str]:
        return self.request.params  # type: ignore[no-any-return]

    @property
    def headers(self) -> dict[str, str]:
        return self.request.headers

    @property
    def path(self) -> str:
        return self.request.path

    @property
    def query_params(self) -> dict[str, str]:
        return self.request.query_params

    @property
    def client_ip(self) -> str:
        return self.request.client_ip

    def recv(self) -> str | None:
        """The next text message; binary ones are dropped."""
        return self._wait_for(str)

    def recv_bytes(self) -> bytes | None:
        """The next binary message; text ones are dropped."""
        return self._wait_for(bytes)

    def recv_message(self) -> tuple[str, Any] | None:
        """The next message as ``("text", str)`` or ``("binary", bytes)``."""
        message = self._next()
        if message is None:
            return None
        return ("text", message) if isinstance(message, str) else ("binary", message)

    def send(self, msg: str) -> None:
        """Send a text message."""
        if not isinstance(msg, str):
            raise TypeError(f"send() takes str, not {type(msg).__name__}: use send_bytes()")
        self._put({"type": "websocket.send", "text": msg})

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._put({"type": "websocket.send", "bytes": bytes(data)})

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection once what was sent is out (RFC 6455, 7.4). May be called twice."""
        if not (code == 1000 or 1001 <= code <= 1014 and code not in (1004, 1005, 1006) or 3000 <= code <= 4999):
            raise ValueError(f"{code} is no close code that an app may send (RFC 6455, 7.4.2)")
        if len(reason.encode()) > 123:
            raise ValueError("a close reason is at most 123 bytes (RFC 6455, 5.5)")
        with self._ready:
            if self._closed:
                return
            self._closed = True
            self._outgoing.append({"type": "websocket.close", "code": code, "reason": reason})
        self._wake_sender()

    async def receive(self) -> str | bytes | None:
        """The next message, awaited; None once the connection is closed."""
        loop = asyncio.get_running_loop()
        while True:
            with self._ready:
                if self._incoming:
                    return self._pop()
                if self._ended:
                    return None
                waiter: asyncio.Future[None] = loop.create_future()
                self._waiters.append(waiter)
            await waiter

    async def asend(self, data: str | bytes) -> None:
        """Send a message, and wait while the client is slow."""
        while True:
            try:
                self.send(data) if isinstance(data, str) else self.send_bytes(data)
                return
            except BlockingIOError:
                await asyncio.sleep(0.005)

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        self.close(code, reason)

    def __iter__(self) -> Iterator[str | bytes]:
        """Messages until the connection is closed."""
        while (message := self._next()) is not None:
            yield message

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while (message := await self.receive()) is not None:
            yield message

    # -- inside

    def _wait_for[T: (str, bytes)](self, kind: type[T]) -> T | None:
        while True:
            message = self._next()
            if message is None or isinstance(message, kind):
                return message

    def _next(self) -> str | bytes | None:
        if asyncio._get_running_loop() is self._loop:
            raise RuntimeError("recv() would block the server's loop: await receive() instead")
        with self._ready:
            while not self._incoming:
                if self._ended:
                    return None
                self._ready.wait()
            return self._pop()

    def _pop(self) -> str | bytes:
        message = self._incoming.popleft()
        room, self._room = self._room, None
        if room is not None:
            self._loop.call_soon_threadsafe(resolve, room)
        return message

    def _put(self, message: dict[str, Any]) -> None:
        with self._ready:
            if self._closed:
                raise ConnectionError("WebSocket closed")
            if len(self._outgoing) >= CAPACITY:
                raise BlockingIOError("WebSocket send buffer full (client is slow); retry after a brief pause")
            self._outgoing.append(message)
        self._wake_sender()

    def _wake_sender(self) -> None:
        with self._ready:
            work, self._work = self._work, None
        if work is not None:
            try:
                self._loop.call_soon_threadsafe(resolve, work)
            except RuntimeError:
                pass  # the loop is closed

    def _end(self, code: int | None = None) -> None:
        with self._ready:
            if code is not None:
                self.close_code = code
            self._ended = self._closed = True
            waiters, self._waiters = self._waiters, []
            self._ready.notify_all()
        for waiter in waiters:
            try:
                waiter.get_loop().call_soon_threadsafe(resolve, waiter)
            except RuntimeError:
                pass
        self._wake_sender()

    async def _read(self, receive: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._end(message.get("code", 1005))
                return
            data = message.get("text")
            room: asyncio.Future[None] | None = None
            with self._ready:
                self._incoming.append(message.get("bytes") or b"" if data is None else data)
                waiters, self._waiters = self._waiters, []
                self._ready.notify()
                if len(self._incoming) >= CAPACITY:
                    # Not read on, so that the client is held up by TCP.
                    room = self._room = self._loop.create_future()
            for waiter in waiters:
                waiter.get_loop().call_soon_threadsafe(resolve, waiter)
            if room is not None:
                await room

    async def _write(self) -> bool:
        """Send what is put until the connection is closed; returns whether we closed it."""
        while True:
            with self._ready:
                message = self._outgoing.popleft() if self._outgoing else None
                if message is None:
                    if self._ended:
                        return False
                    self._work = work = self._loop.create_future()
            if message is None:
                await work
                continue
            try:
                await self._send(message)
            except (OSError, RuntimeError):
                self._end()
                return False
            if message["type"] == "websocket.close":
                self._end()
                return True


def resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def run_handler(handler: Callable[..., Any], ws: PyreWebSocket) -> None:
    """What the connection's thread runs. An ``async def`` handler gets a loop of its own."""
    code = 1000
    try:
        result = handler(ws)
        if asyncio.iscoroutine(result):
            asyncio.run(result)
    except ConnectionError:
        pass  # it wrote to a client that is gone
    except BaseException as exc:
        logger.error("WebSocket handler error in %s", ws.path, exc_info=exc)
        code = 1011
    try:
        ws.close(code)
    except RuntimeError:
        pass


async def serve(handler: Callable[..., Any], request: PyreRequest, receive: Any, send: Any) -> None:
    """Accept the connection and run ``handler(ws)`` until both are done."""
    await send({"type": "websocket.accept"})
    loop = asyncio.get_running_loop()
    ws = PyreWebSocket(request, loop, send)
    context = contextvars.copy_context()
    finished = loop.create_future()

    def run() -> None:
        try:
            context.run(run_handler, handler, ws)
        finally:
            try:
                loop.call_soon_threadsafe(resolve, finished)
            except RuntimeError:
                pass

    # Not one of the server's threads: it may stay for days.
    threading.Thread(target=run, name=f"freelane-websocket {request.path}", daemon=True).start()
    reading = asyncio.create_task(ws._read(receive))
    writing = asyncio.create_task(ws._write())
    try:
        await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
        if not writing.done():
            await writing
        await finished
    finally:
        ws._end()
        reading.cancel()
        writing.cancel()
