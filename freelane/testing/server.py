"""An RSGI server in memory, so that tests need no socket.

``Transport`` plugs an app into ``httpx``; ``call`` and ``websocket`` are the layer below.
Scopes and protocols behave as Granian's do, losses included: header values that are not
visible ASCII do not come through, a body can be claimed once, a second response is ignored,
a stream ends when its transport is dropped. RSGI 1.5, see ``freelane.api.wrap``.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from freelane.api import wrap
from freelane.server.rsgi import RSGIApplication


def visible(value: bytes) -> bool:
    """Whether Granian passes a header value on to Python."""
    return all(byte == 9 or 32 <= byte < 127 for byte in value)


class Headers:
    """Request headers as RSGI shows them: lower-case names, values as ``str``."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self.pairs: dict[str, list[bytes]] = {}
        for name, value in pairs:
            self.pairs.setdefault(name.decode("ascii").lower(), []).append(value)

    def keys(self) -> list[str]:
        return list(self.pairs)

    def items(self) -> list[tuple[str, str]]:
        return [(name, value) for name in self.pairs for value in self.get_all(name)]

    def values(self) -> list[str]:
        return [value for _, value in self.items()]

    def get_all(self, name: str) -> list[str]:
        return [value.decode("ascii") for value in self.pairs.get(name, []) if visible(value)]

    def get(self, name: str, default: Any = None) -> Any:
        values = self.pairs.get(name)
        return values[0].decode("ascii") if values and visible(values[0]) else default

    def __getitem__(self, name: str) -> str:
        value = self.pairs[name][0]
        return value.decode("ascii") if visible(value) else ""

    def __contains__(self, name: object) -> bool:
        return name in self.pairs

    def __iter__(self) -> Iterator[str]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(slots=True)
class Scope:
    """An RSGI scope; ``path`` is percent-decoded, ``server`` and ``client`` are ``host:port``."""

    proto: str
    method: str
    path: str
    query_string: str
    headers: Headers
    http_version: str = "1.1"
    scheme: str = "http"
    server: str = "127.0.0.1:80"
    client: str = "127.0.0.1:50000"
    authority: str | None = None
    rsgi_version: str = "1.5"


def make_scope(
    method: str,
    target: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    proto: str = "http",
    **values: Any,
) -> Scope:
    """A scope for a request target such as ``/path%20here?a=1``."""
    path, _, query = target.partition("?")
    decoded = unquote_to_bytes(path).decode("utf-8", "replace")
    return Scope(proto, method, decoded, query, Headers(headers), **values)


class ProtocolError(RuntimeError):
    """The protocol was used out of order, as Granian's RSGIProtocolError."""


class ProtocolClosed(RuntimeError):
    """Nobody listens any more, as Granian's RSGIProtocolClosed."""


class Done:
    """An awaitable that is ready when it is made."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error

    def __await__(self) -> Iterator[Any]:
        if self.error is not None:
            raise self.error
        return iter(())


class Ready:
    """A future of Granian's whose result is there."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        return self.value

    def add_done_callback(self, callback: Any) -> None:
        callback(self)

    def __await__(self) -> Generator[Any, None, Any]:
        return self.value
        yield


class HTTPProtocol:
    """One request's RSGI protocol; ``head``, ``chunks`` and ``ended`` are what was answered.

    ``content`` is the body: bytes, or an async iterable of chunks. ``closed`` set means that
    the client is gone.
    """

    def __init__(self, content: bytes | AsyncIterable[bytes] = b"") -> None:
        self.content = content
        self.claimed = False
        self.source: AsyncIterator[bytes] | None = None
        self.head: tuple[int, list[tuple[str, str]]] | None = None
        self.answered = asyncio.Event()
        self.chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.closed = asyncio.Event()

    def claim(self) -> None:
        if self.claimed:
            raise ProtocolError("the body was claimed before")
        self.claimed = True

    async def parts(self) -> AsyncIterator[bytes]:
        if isinstance(self.content, bytes):
            if self.content:
                yield self.content
            return
        async for chunk in self.content:
            if chunk:
                yield chunk

    def __call__(self) -> Any:
        self.claim()
        # Asked for on a server's thread too, which has no loop.
        return Ready(self.content) if isinstance(self.content, bytes) else asyncio.ensure_future(self.whole())

    async def whole(self) -> bytes:
        return b"".join([chunk async for chunk in self.parts()])

    def __aiter__(self) -> HTTPProtocol:
        self.claim()
        self.source = self.parts()
        return self

    def __anext__(self) -> asyncio.Future[bytes]:
        if self.source is None:
            raise StopAsyncIteration
        return asyncio.ensure_future(self.following())

    async def following(self) -> bytes:
        assert self.source is not None
        try:
            return await anext(self.source)
        except StopAsyncIteration:
            self.source = None
        except ConnectionError:
            # Granian tells of neither: an error reads as an empty chunk, then as the end.
            self.source = ended()
        return b""

    def client_disconnect(self) -> asyncio.Future[Any]:
        return asyncio.ensure_future(self.closed.wait())

    def start(self, status: int, headers: list[tuple[str, str]]) -> bool:
        if self.head is not None:
            return False
        self.head = status, [(name, value) for name, value in headers if visible(value.encode("latin-1", "replace"))]
        self.answered.set()
        return True

    def response_empty(self, status: int = 200, headers: list[tuple[str, str]] | None = None) -> None:
        if self.start(status, headers or []):
            self.ended.set()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        if self.start(status, headers):
            self.chunks.put_nowait(body)
            self.ended.set()

    def response_str(self, status: int, headers: list[tuple[str, str]], body: str) -> None:
        self.response_bytes(status, headers, body.encode())

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> StreamTransport:
        if not self.start(status, headers):
            raise ProtocolError("the response was started before")
        return StreamTransport(self)


async def ended() -> AsyncIterator[bytes]:
    return
    yield b""


class StreamTransport:
    """A streamed response; it ends when this object is dropped."""

    def __init__(self, protocol: HTTPProtocol) -> None:
        self.protocol = protocol

    def send_bytes(self, data: bytes) -> Done:
        if self.protocol.closed.is_set():
            return Done(ProtocolClosed("the client is gone"))
        self.protocol.chunks.put_nowait(bytes(data))
        return Done()

    def send_str(self, data: str) -> Done:
        return self.send_bytes(data.encode())

    def __del__(self) -> None:
        self.protocol.ended.set()


class MessageType(enum.IntEnum):
    """The ``kind`` of a WebSocket message (RSGI, WebSocket protocol)."""

    close = 0
    bytes = 1
    string = 2


@dataclass(slots=True)
class WebsocketMessage:
    kind: MessageType
    data: Any = None


class WebsocketProtocol:
    """One WebSocket's RSGI protocol. ``incoming`` is what the client sends, ``outgoing`` what it gets."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[WebsocketMessage] = asyncio.Queue()
        self.outgoing: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.accepted = asyncio.Event()
        self.status: int | None = None
        self.closed = asyncio.Event()

    def accept(self) -> asyncio.Future[WebsocketTransport]:
        self.accepted.set()
        future: asyncio.Future[WebsocketTransport] = asyncio.get_running_loop().create_future()
        future.set_result(WebsocketTransport(self))
        return future

    def close(self, status: int | None = None) -> None:
        if not self.closed.is_set():
            self.status = status
            self.closed.set()
            self.outgoing.put_nowait(None)


class WebsocketTransport:
    def __init__(self, protocol: WebsocketProtocol) -> None:
        self.protocol = protocol

    def receive(self) -> asyncio.Future[WebsocketMessage]:
        return asyncio.ensure_future(self.protocol.incoming.get())

    def send(self, data: str | bytes) -> Done:
        if self.protocol.closed.is_set():
            return Done(ProtocolClosed("the socket is closed"))
        self.protocol.outgoing.put_nowait(data)
        return Done()

    send_str = send
    send_bytes = send


@dataclass(slots=True)
class Answer:
    """A whole response: header names in lower case, values as the server would send them."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    chunks: list[bytes] = field(default_factory=list)


def as_rsgi(app: Any) -> Any:
    return app if hasattr(app, "__rsgi__") else wrap(app, lifespan="off")


async def call(
    app: Any,
    method: str,
    target: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
    content: bytes | AsyncIterable[bytes] = b"",
    **values: Any,
) -> Answer:
    """One request to an ASGI or RSGI app; ``values`` are further fields of the scope."""
    pairs = list(headers)
    if isinstance(content, bytes) and content and not any(name.lower() == b"content-length" for name, _ in pairs):
        pairs.append((b"content-length", str(len(content)).encode()))
    protocol = HTTPProtocol(content)
    await as_rsgi(app).__rsgi__(make_scope(method, target, pairs, **values), protocol)
    if protocol.head is None:
        raise ProtocolError("the app gave no response")
    await asyncio.wait_for(protocol.ended.wait(), 10)
    chunks = [protocol.chunks.get_nowait() for _ in range(protocol.chunks.qsize())]
    return Answer(*protocol.head, b"" if method == "HEAD" else b"".join(chunks), chunks)


class Lifespan:
    """``async with Lifespan(app) as rsgi_app``: the app started, and stopped at the end."""

    def __init__(self, app: Any, **options: Any) -> None:
        self.app: RSGIApplication = app if hasattr(app, "__rsgi__") else wrap(app, **options)

    async def __aenter__(self) -> RSGIApplication:
        loop = asyncio.get_running_loop()
        self.app.__rsgi_init__(loop)
        if (started := self.app.runtimes[loop].started) is not None:
            await started
        return self.app

    async def __aexit__(self, *exc: object) -> None:
        await self.app.runtimes.pop(asyncio.get_running_loop()).shutdown()
