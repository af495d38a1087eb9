"""``freelane.testing.Transport``: httpx on top of the in-memory RSGI server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx

from freelane.testing.server import HTTPProtocol, as_rsgi, make_scope


class Transport(httpx.AsyncBaseTransport):
    """Serves ``httpx.AsyncClient(transport=Transport(app))`` from an ASGI or RSGI app.

    ``raise_app_exceptions`` is not offered: an app's exception is a 500, as on a server.
    """

    def __init__(self, app: Any, *, client: tuple[str, int] = ("127.0.0.1", 50000)) -> None:
        self.app = as_rsgi(app)
        self.client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        url = request.url
        scope = make_scope(
            request.method,
            url.raw_path.decode("ascii"),
            request.headers.raw,
            scheme=url.scheme,
            server=f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}",
            client=f"{self.client[0]}:{self.client[1]}",
        )
        protocol = HTTPProtocol(request.stream)
        task = asyncio.ensure_future(self.app.__rsgi__(scope, protocol))
        answered = asyncio.ensure_future(protocol.answered.wait())
        await asyncio.wait([task, answered], return_when=asyncio.FIRST_COMPLETED)
        answered.cancel()
        if protocol.head is None:
            await task
            raise httpx.RemoteProtocolError("the app gave no response", request=request)
        status, headers = protocol.head
        return httpx.Response(status, headers=headers, stream=Stream(protocol, task))


class Stream(httpx.AsyncByteStream):
    """Chunks as they are sent; closing it early is the client going away."""

    def __init__(self, protocol: HTTPProtocol, task: asyncio.Future[Any]) -> None:
        self.protocol = protocol
        self.task = task

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks, ended = self.protocol.chunks, self.protocol.ended
        while not (ended.is_set() and chunks.empty()):
            getter = asyncio.ensure_future(chunks.get())
            end = asyncio.ensure_future(ended.wait())
            await asyncio.wait([getter, end], return_when=asyncio.FIRST_COMPLETED)
            end.cancel()
            if getter.done():
                yield getter.result()
            else:
                getter.cancel()

    async def aclose(self) -> None:
        self.protocol.closed.set()
        await self.task
