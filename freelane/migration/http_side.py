"""A side behind HTTP: a URL, or an app in a process of its own that is started here. Connections are kept alive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from freelane.bench import processes
from freelane.bench.answer import Answer
from freelane.bench.contenders import Contender, ContenderFailed
from freelane.errors import ConfigError, StartupError
from freelane.migration.answers import MOST, TooLong
from freelane.migration.budget import Budget
from freelane.migration.loop_thread import LoopThread
from freelane.migration.sides import Unreachable

if TYPE_CHECKING:
    import aiohttp

logger = logging.getLogger("freelane.error")

# Of one connection (RFC 9110, 7.6.1), and what aiohttp says anew.
HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect",
    b"http2-settings",
})  # fmt: skip
# Said by our own server to its clients.
SERVERS = frozenset({b"date", b"server"})
HANDSHAKE = b"sec-websocket-"
# uvicorn closes a connection that was idle for five seconds.
IDLE = 2.0


def library() -> Any:
    try:
        import aiohttp
    except ImportError:
        raise ConfigError("a side that is a URL or a process needs aiohttp: pip install 'freelane[migration]'") from None
    return aiohttp


class HTTPSide:
    """Asks a URL."""

    def __init__(self, name: str, contender: Contender, budget: Budget, timeout: float, patience: float) -> None:
        self.aiohttp = library()
        self.name = name
        self.contender = contender
        self.budget = budget
        self.timeout = timeout
        self.patience = patience
        self.url = contender.url or ""
        self.copier = LoopThread(f"freelane-side-{name}")
        # One for each loop, made and used by its thread alone.
        self.sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}

    async def start(self) -> None:
        self.copier.start()

    async def stop(self) -> None:
        await self.copier.run(self.close())
        await self.close()
        await self.copier.close()

    async def close(self) -> None:
        session = self.sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    async def revive(self) -> None:
        """Somebody else runs it."""

    def session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        found = self.sessions.get(loop)
        if found is None:
            aiohttp = self.aiohttp
            found = self.sessions[loop] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(self.timeout, 5), sock_read=self.timeout),
                auto_decompress=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            )
        return found

    def address(self, scope: Any) -> Any:
        from yarl import URL

        path = scope.get("raw_path") or quote(scope["path"], safe="/:@!$&'()*+,;=~").encode()
        query = scope["query_string"]
        return URL(self.url + path.decode("latin-1") + ("?" + query.decode("latin-1") if query else ""), encoded=True)

    def headers(self, scope: Any) -> list[tuple[str, str]]:
        """The client's, and who it is."""
        websocket = scope["type"] == "websocket"
        kept = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name not in HOP and not (websocket and name.startswith(HANDSHAKE)) and not name.startswith(b"x-forwarded-")
        ]
        if client := scope.get("client"):
            kept.append(("x-forwarded-for", client[0]))
        kept.append(("x-forwarded-proto", {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])))
        return kept

    async def call(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request or WebSocket. Raises Unreachable while nobody has seen anything of it."""
        if scope["type"] == "websocket":
            from freelane.migration import http_websocket

            await http_websocket.relay(self, scope, receive, send)
            return
        begun = False
        sent = asyncio.Event()
        body = upload(receive, sent) if has_body(scope) else None
        if body is None:
            sent.set()
        try:
            async with self.session().request(
                scope["method"], self.address(scope), headers=self.headers(scope), data=body, allow_redirects=False
            ) as response:
                begun = True
                await send({"type": "http.response.start", "status": response.status, "headers": received(response)})
                await self.relay(response, receive, send, sent)
        except self.aiohttp.ClientConnectorError as exc:
            raise Unreachable(type(exc).__name__) from None
        except (self.aiohttp.ClientError, TimeoutError) as exc:
            if begun:
                raise ConnectionAbortedError(f"{self.name}: the answer broke off ({type(exc).__name__})") from None
            status, text = (504, b"Gateway Timeout") if isinstance(exc, TimeoutError) else (502, b"Bad Gateway")
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": text})

    async def relay(self, response: aiohttp.ClientResponse, receive: Any, send: Any, sent: asyncio.Event) -> None:
        """Pass the body on as it comes; a client that leaves ends it there, too."""
        gone: asyncio.Task[None] | None = None
        try:
            async for chunk in response.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if gone is None and sent.is_set():  # nobody else receives
                    gone = asyncio.create_task(wait_for_end(receive))
                    gone.add_done_callback(lambda task: response.close())
        except self.aiohttp.ClientError:
            if gone is None or not gone.done():
                raise
            return
        finally:
            if gone is not None:
                gone.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def ask(self, scope: Any, body: bytes) -> Answer:
        """Raises TooLong, Unreachable."""
        try:
            async with self.session().request(
                scope["method"], self.address(scope), headers=self.headers(scope), data=body or None, allow_redirects=False
            ) as response:
                if "text/event-stream" in response.headers.get("content-type", ""):
                    raise TooLong("stream")
                kept = bytearray()
                async for chunk in response.content.iter_any():
                    kept += chunk
                    if len(kept) > MOST:
                        raise TooLong("long")
                headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in received(response))
                return Answer(response.status, headers, bytes(kept))
        except self.aiohttp.ClientConnectorError as exc:
            raise Unreachable(type(exc).__name__) from None
        except self.aiohttp.ClientError as exc:
            return Answer(problem=type(exc).__name__)


class ProcessSide(HTTPSide):
    """Starts an app in a process of its own, on loopback, and asks that."""

    def __init__(self, name: str, contender: Contender, budget: Budget, timeout: float, patience: float) -> None:
        super().__init__(name, contender, budget, timeout, patience)
        self.stack = contextlib.ExitStack()
        self.running: processes.Running | None = None
        self.reviving = False

    async def start(self) -> None:
        """Raises StartupError."""
        try:
            await asyncio.to_thread(self.launch)
        except ContenderFailed as exc:
            raise StartupError(str(exc)) from None
        await super().start()

    def launch(self) -> None:
        self.running = self.stack.enter_context(processes.serve(self.contender, patience=self.patience, quiet=False))
        self.url = self.running.url
        pid = self.running.process.pid if self.running.process is not None else 0
        logger.info("%s runs as process %d, at %s.", self.name, pid, self.url)

    async def stop(self) -> None:
        try:
            await super().stop()
        finally:
            await asyncio.to_thread(self.stack.close)

    async def revive(self) -> None:
        """Start it again, if it has ended."""
        process = self.running.process if self.running is not None else None
        if self.reviving or process is None or process.poll() is None:
            return
        self.reviving = True
        try:
            await asyncio.to_thread(self.stack.close)
            await asyncio.to_thread(self.launch)
        except ContenderFailed as exc:
            logger.error("%s", exc)
        finally:
            self.reviving = False


def received(response: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    """The headers of a response that are no server's own, names in lower case."""
    pairs = [(name.lower(), value) for name, value in response.raw_headers]
    return [(name, value) for name, value in pairs if name not in HOP and name not in SERVERS]


def has_body(scope: Any) -> bool:
    """RFC 9112, 6: a request says by its headers that it has one. HTTP/2 need not."""
    if scope["method"] in ("GET", "HEAD", "OPTIONS") or scope.get("http_version", "").startswith("1"):
        return any(
            name == b"transfer-encoding" or name == b"content-length" and value != b"0" for name, value in scope["headers"]
        )
    return True


async def upload(receive: Any, sent: asyncio.Event) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError("the client left before its request had ended")
        more = message.get("more_body", False)
        if part := message.get("body", b""):
            yield part
    sent.set()


async def wait_for_end(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
