"""Neither end of the lane's connection is harmed by what the other one sends, in whatever order."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freelane.fastcore.asgi.gateway import Gateway
from freelane.fastcore.lane import protocol
from freelane.fastcore.lane.calls import HTTPCall
from freelane.fastcore.lane.client import Lane, Load
from freelane.fastcore.lane.server import Connection
from freelane.fastcore.threads.loop_queue import LoopQueue

pytestmark = pytest.mark.thread_unsafe(reason="runs event loops")

SCOPE: dict[str, Any] = {
    "type": "http", "method": "GET", "http_version": "1.1", "scheme": "http", "client": None, "server": None,
    "path": "/", "raw_path": b"/", "root_path": "", "query_string": b"", "headers": [],
}  # fmt: skip
WEBSOCKET = {**SCOPE, "type": "websocket", "subprotocols": []}
payloads = st.binary(max_size=40) | st.builds(
    lambda status, end: protocol.encode_response(1, status, [(b"a", b"b")], b"x", end)[protocol.HEADER_SIZE :],
    st.integers(0, 700), st.booleans(),
)  # fmt: skip


def frames(kinds: tuple[int, ...]) -> st.SearchStrategy[list[tuple[int, int, int, bytes]]]:
    return st.lists(st.tuples(st.sampled_from(kinds), st.integers(0, 3), st.integers(0, 4), payloads), max_size=25)


class Exchange:
    """As much of an exchange as a call touches while no task runs it."""

    def __init__(self) -> None:
        self.scope = SCOPE
        self.app: Any = None
        self.started = 0

    def respond_now(self, status: int, headers: Any, body: bytes) -> bool:
        return status < 600

    def start(self, context: Any) -> None:
        self.started += 1


@settings(max_examples=300, deadline=None)
@given(frames(protocol.FROM_LANE))
def test_the_server_takes_anything_from_a_lane(items: list[tuple[int, int, int, bytes]]) -> None:
    async def feed() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        process = SimpleNamespace(loads=[Load()], retired=False, reason="", lost=0, on_ready=lambda: None,
                                  on_failed=lambda reason: None, kill=lambda reason: None,
                                  loss_status=lambda call: 502)  # fmt: skip
        client = SimpleNamespace(loop=loop, index=0, limit=9, counted=False, queue=[], lanes=[], failure=None,
                                 timeout=9.0, serve_queue=lambda: None, context=lambda: None,
                                 log_error=lambda message, exc: pytest.fail(repr(exc)))  # fmt: skip
        lane = Lane(client, process, ours)
        client.lanes.append(lane)
        exchanges = [Exchange() for _ in range(3)]
        for exchange in exchanges:
            HTTPCall(client, exchange).dispatch(lane)
        for item in items:
            try:
                lane.on_frame(*item)
            except protocol.ProtocolError:
                break
        lane.link.close()
        theirs.close()
        assert not lane.calls
        assert lane.busy == 0
        assert all(exchange.started <= 1 for exchange in exchanges)

    asyncio.run(feed())


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


requests = st.sampled_from([
    protocol.encode_request(1, SCOPE, b"", True)[protocol.HEADER_SIZE :],
    protocol.encode_request(1, {**SCOPE, "method": "POST", "headers": [(b"transfer-encoding", b"chunked")]}, b"a", False)[
        protocol.HEADER_SIZE :
    ],
    protocol.encode_request(1, WEBSOCKET, b"", False)[protocol.HEADER_SIZE :],
])  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(
    st.tuples(st.just(protocol.REQUEST), st.integers(0, 3), st.integers(1, 6), requests)
    | st.tuples(st.sampled_from(protocol.FROM_SERVER), st.integers(0, 3), st.integers(0, 6), payloads),
    max_size=25,
))  # fmt: skip
def test_a_lane_takes_anything_from_the_server(items: list[tuple[int, int, int, bytes]]) -> None:
    async def feed() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        gateway = Gateway(app, loop, lane=LoopQueue(loop), rsgi=False)
        connection = Connection(SimpleNamespace(loop=loop, gateway=gateway, way=None, leave=lambda: None), ours)
        for item in items:
            try:
                connection.on_frame(*item)
            except (protocol.ProtocolError, UnicodeDecodeError):
                break
            await asyncio.sleep(0)
        theirs.close()
        connection.link.close()
        # The server is gone, and so whatever runs comes to its end.
        deadline = loop.time() + 5
        while gateway.active:
            assert loop.time() < deadline
            await asyncio.sleep(0.001)

    asyncio.run(feed())
