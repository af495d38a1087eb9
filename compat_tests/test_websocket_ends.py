"""How WebSockets begin and end where an app, a client or the server does not keep to the usual way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from compat_tests.servers import Server, running

websockets = pytest.importorskip("websockets")
from websockets.asyncio.client import connect  # noqa: E402

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = """
import asyncio

def say(*words): print("SAID", *words, flush=True)

async def reader(receive, task):
    while (await receive())["type"] != "websocket.disconnect":
        pass
    task.cancel()

async def cancelled(receive, send):
    async def handler():
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4001, "reason": "done"})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(handler())
        group.create_task(reader(receive, task))

async def headers(receive, send):
    await send({"type": "websocket.accept", "headers": [(b"x-a", b"b"), (b"set-cookie", b"k=v")]})
    await send({"type": "websocket.send", "text": "up"})
    await send({"type": "websocket.close"})

async def closes(receive, send, **close):
    await send({"type": "websocket.accept"})
    try:
        await send({"type": "websocket.close", **close})
    except RuntimeError as error:
        say(error)
        raise

async def bad_code(receive, send):
    await closes(receive, send, code=1005)

async def no_code(receive, send):
    await closes(receive, send, code=99999)

async def long_reason(receive, send):
    await closes(receive, send, reason="x" * 124)

async def sink(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": str(len(event.get("text") or event.get("bytes")))})
    say("disconnect", event["code"])

async def stays(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "up"})
    event = await receive()
    try:
        await send({"type": "websocket.send", "text": "late"})
    except Exception as error:
        say("stopped", event["code"], isinstance(error, OSError))
    await send({"type": "websocket.close"})

async def late(receive, send):
    await receive()
    say("waiting")
    await asyncio.sleep(1)
    try:
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": "late"})
            await asyncio.sleep(0.01)
    except OSError:
        say("gone")

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await globals()[scope["path"][1:]](receive, send)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("websockets")
    (directory / "shop.py").write_text(APP)
    with running(directory, "shop:app", "--transport", "asgi") as found:
        yield found


def ask(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(60):
            return await coroutine

    return asyncio.run(limited())


@asynccontextmanager
async def connected(server: Server, path: str) -> AsyncIterator[Any]:
    async with connect(f"ws://127.0.0.1:{server.port}{path}", max_size=None, open_timeout=60, close_timeout=60) as socket:
        yield socket


async def closed(server: Server, path: str, *messages: Any) -> tuple[int | None, str]:
    """How the socket was closed, once the messages were sent to it."""
    async with connected(server, path) as socket:
        try:
            for message in messages:
                await socket.send(message)
            while True:
                await socket.recv()
        except websockets.ConnectionClosed as error:
            received = error.rcvd
            return (received.code, received.reason) if received else (None, "")


def until(holds: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not holds():
            await asyncio.sleep(0.05)

    ask(wait())


def test_the_close_frame_goes_out_though_its_sender_is_cancelled(server: Server) -> None:
    async def many() -> list[Any]:
        return [await closed(server, "/cancelled") for _ in range(40)]

    assert set(ask(many())) == {(4001, "done")}


def test_a_socket_accepted_with_headers_comes_up(server: Server) -> None:
    async def first() -> Any:
        async with connected(server, "/headers") as socket:
            return await socket.recv()

    assert ask(first()) == "up"
    assert "Granian cannot carry headers with a WebSocket's acceptance (x-a, set-cookie)" in server.output()


@pytest.mark.parametrize("path", ["/bad_code", "/no_code", "/long_reason"])
def test_what_no_close_frame_can_hold_is_not_sent(server: Server, path: str) -> None:
    assert ask(closed(server, path)) == (None, "")
    assert "close code" in server.output() or "close reason" in server.output()


LIMIT = 16 << 20


def test_a_message_at_the_limit_is_received(server: Server) -> None:
    async def largest() -> Any:
        async with connected(server, "/sink") as socket:
            await socket.send(b"x" * LIMIT)
            return await socket.recv()

    assert ask(largest()) == str(LIMIT)


@pytest.mark.parametrize(
    "message", [b"x" * (LIMIT + 1), [b"x" * (LIMIT // 2)] * 3, ["ä" * (LIMIT // 4)] * 3], ids=["whole", "fragments", "text"]
)
def test_a_message_above_the_limit_is_1009(server: Server, message: Any) -> None:
    async def sent() -> Any:
        async with connected(server, "/sink") as socket:
            try:
                await socket.send(message)
                await socket.recv()
            except websockets.ConnectionClosed as error:
                return error.rcvd and error.rcvd.code

    assert ask(sent()) == 1009


def test_a_client_that_left_before_the_acceptance(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            b"GET /late HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        until(lambda: "SAID waiting" in server.output())
    until(lambda: "SAID gone" in server.output())
    assert server.process.poll() is None


def test_the_end_of_the_server_is_a_disconnect_for_both(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)

    async def stopped(server: Server) -> Any:
        async with connected(server, "/stays") as socket:
            assert await socket.recv() == "up"
            code = await asyncio.to_thread(server.stop, timeout=60)
            with pytest.raises(websockets.ConnectionClosed) as error:
                await socket.recv()
            return code, error.value.rcvd.code

    with running(tmp_path, "shop:app", "--transport", "asgi") as server:
        assert ask(stopped(server)) == (0, 1012)
        assert "SAID stopped 1012 True" in server.output()
        assert "ERROR" not in server.output()


def test_a_peer_that_fell_silent_is_found_out(server: Server) -> None:
    from freelane.server.sockets import tcp_socket
    from freelane.settings import Settings

    with tcp_socket(socket.AF_INET, Settings()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20
