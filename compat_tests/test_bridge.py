"""ASGI over RSGI in memory: the order of messages, and the traps found in Granian's source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from freelane import ConfigError, StartupError, wrap
from freelane.testing import (
    HTTPProtocol,
    Lifespan,
    MessageType,
    Transport,
    WebsocketMessage,
    WebsocketProtocol,
    as_rsgi,
    call,
    make_scope,
)

App = Callable[[Any, Any, Any], Awaitable[None]]


def run(main: Any) -> Any:
    return asyncio.run(asyncio.wait_for(main, 120))


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def whole_body(receive: Any) -> tuple[bytes, str]:
    data = b""
    message: dict[str, Any] = {"type": "http.request", "more_body": True}
    while message["type"] == "http.request" and message["more_body"]:
        message = await receive()
        data += message.get("body", b"")
    return data, message["type"]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    data, _ = await whole_body(receive)
    await send(start(200, (b"content-length", str(len(data)).encode())))
    await send(body(data))


@pytest.mark.parametrize("data", [b"", b"small", b"x" * 300_000])
def test_body_comes_whole(data: bytes) -> None:
    answer = run(call(echo, "POST", "/", content=data))
    assert (answer.status, answer.body) == (200, data)


def test_body_without_a_length_is_read_to_its_end() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    answer = run(call(echo, "POST", "/", [(b"transfer-encoding", b"chunked")], chunks()))
    assert answer.body == b"onetwo"


@pytest.mark.parametrize("headers", [[(b"content-length", b"10")], [(b"transfer-encoding", b"chunked")]])
def test_body_cut_off_by_the_client_is_a_disconnect(headers: list[tuple[bytes, bytes]]) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError

    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await whole_body(receive))

    async def main() -> None:
        await as_rsgi(app).__rsgi__(make_scope("POST", "/", headers), HTTPProtocol(cut()))

    run(main())
    assert seen == [(b"half", "http.disconnect")]


def test_two_tasks_may_receive_at_once() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.05)
        yield b"data"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        first, second = asyncio.create_task(receive()), asyncio.create_task(receive())
        done, pending = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
        assert next(iter(done)).result() == {"type": "http.request", "body": b"data", "more_body": False}
        await send(start(200, (b"content-length", b"2")))
        await send(body(b"ok"))
        assert await pending.pop() == {"type": "http.disconnect"}

    assert run(call(app, "POST", "/", [(b"content-length", b"4")], slowly())).body == b"ok"


def test_a_cancelled_receive_loses_nothing() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.1)
        yield b"data"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.02)
        assert (await receive())["body"] == b"data"
        await echo(scope, receive_nothing, send)

    async def receive_nothing() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    assert run(call(app, "POST", "/", [(b"content-length", b"4")], slowly())).status == 200


def test_receive_after_the_response_is_a_disconnect() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        seen.append(await receive())

    run(call(app, "POST", "/", content=b"x"))
    assert seen == [{"type": "http.disconnect"}]


def test_client_loss_is_seen_by_receive_and_silences_send() -> None:
    protocol, seen = HTTPProtocol(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        asyncio.get_running_loop().call_later(0.02, protocol.closed.set)
        seen.append(await receive())
        await send(start())
        await send(body(b"late"))

    run(as_rsgi(app).__rsgi__(make_scope("GET", "/"), protocol))
    assert seen == [{"type": "http.disconnect"}]
    assert protocol.head is None


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([body()], "Expected ASGI message 'http.response.start', but got 'http.response.body'"),
        ([start(), start()], "Expected ASGI message 'http.response.body', but got 'http.response.start'"),
        ([start(204), body(), body()], "Unexpected ASGI message 'http.response.body' sent, after"),
        ([start(200, (b"content-length", b"1")), body(b"22")], "longer than Content-Length"),
        ([start(200, (b"content-length", b"3")), body(b"22")], "shorter than Content-Length"),
        ([start(200, (b"bad name", b"x"))], "Invalid HTTP header name"),
        ([start(200, (b"x-name", b"a\r\nb"))], "Invalid HTTP header value"),
        ([start(200, (b"x-name", "é".encode()))], "RSGI cannot carry.*--transport asgi"),
    ],
)
def test_messages_out_of_order_are_errors(messages: list[Any], error: str) -> None:
    raised: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            for message in messages:
                await send(message)
        except RuntimeError as exc:
            raised.append(str(exc))
            raise

    run(call(app, "GET", "/"))
    assert len(raised) == 1
    import re

    assert re.search(error, raised[0])


def test_exception_before_the_start_is_a_500() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    answer = run(call(app, "GET", "/"))
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert ("content-type", "text/plain; charset=utf-8") in answer.headers


def test_returning_without_an_answer_is_a_500() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        return None

    assert run(call(app, "GET", "/")).status == 500


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_no_body_where_there_must_be_none(method: str, status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(status, *([(b"content-length", b"4")] if method == "HEAD" else [])))
        await send(body(b"data" if method == "HEAD" else b""))

    answer = run(call(app, method, "/"))
    assert (answer.status, answer.chunks) == (status, [])


def test_a_stream_is_flushed_as_it_is_sent() -> None:
    protocol, go = HTTPProtocol(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await go.wait()
        await send(body(b"one", more=True))
        await send(body(b"two"))

    async def main() -> None:
        task = asyncio.ensure_future(as_rsgi(app).__rsgi__(make_scope("GET", "/"), protocol))
        await asyncio.wait_for(protocol.answered.wait(), 5)  # the head is out before any body
        assert protocol.chunks.empty()
        go.set()
        await task
        assert [protocol.chunks.get_nowait() for _ in range(protocol.chunks.qsize())] == [b"one", b"two"]
        assert protocol.ended.is_set()

    run(main())


def test_a_failed_stream_ends_although_its_traceback_is_kept() -> None:
    protocol, kept = HTTPProtocol(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(start())
            await send(body(b"one", more=True))
            raise ValueError
        except ValueError as exc:
            kept.append(exc)
            raise

    async def main() -> None:
        await as_rsgi(app).__rsgi__(make_scope("GET", "/"), protocol)
        await asyncio.wait_for(protocol.ended.wait(), 5)

    run(main())
    assert kept[0].__traceback__ is not None


def test_work_goes_on_after_the_response() -> None:
    protocol, done = HTTPProtocol(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        assert protocol.ended.is_set()
        await asyncio.sleep(0.01)
        done.append(True)

    run(as_rsgi(app).__rsgi__(make_scope("GET", "/"), protocol))
    assert done == [True]


def test_duplicate_headers_are_kept_both_ways() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert [value for name, value in scope["headers"] if name == b"x-in"] == [b"1", b"2"]
        await send(start(204, (b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2")))
        await send(body())

    answer = run(call(app, "GET", "/", [(b"x-in", b"1"), (b"x-in", b"2")]))
    assert answer.headers == [("set-cookie", "a=1"), ("set-cookie", "b=2")]


def test_lifespan_state_is_copied_for_every_request() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["count"] = 1
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        scope["state"]["count"] += 1
        await send(start(200 + scope["state"]["count"]))
        await send(body())

    async def main() -> list[int]:
        async with Lifespan(app) as started:
            return [(await call(started, "GET", "/")).status for _ in range(2)]

    assert run(main()) == [202, 202]


def test_failed_startup_is_raised() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    loop = asyncio.new_event_loop()
    with pytest.raises(StartupError, match="no database"):
        wrap(app).__rsgi_init__(loop)
    loop.close()


def test_wrap_refuses_what_it_cannot_use() -> None:
    with pytest.raises(ConfigError, match="root_path"):
        wrap(echo, rot_path="/x")
    with pytest.raises(ConfigError, match="cannot be called"):
        wrap(3)


def test_httpx_transport() -> None:
    httpx = pytest.importorskip("httpx")

    async def main() -> Any:
        async with httpx.AsyncClient(transport=Transport(echo), base_url="http://testserver") as client:
            return await client.post("/path", content=b"data")

    response = run(main())
    assert (response.status_code, response.content) == (200, b"data")


# WebSocket


async def socket(app: App, *incoming: WebsocketMessage, headers: Any = ()) -> tuple[WebsocketProtocol, list[Any]]:
    protocol = WebsocketProtocol()
    for message in incoming:
        protocol.incoming.put_nowait(message)
    await asyncio.wait_for(as_rsgi(app).__rsgi__(make_scope("GET", "/", headers, proto="ws"), protocol), 10)
    return protocol, [protocol.outgoing.get_nowait() for _ in range(protocol.outgoing.qsize())]


def test_websocket_echo_and_close() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        for _ in range(2):
            message = await receive()
            key = "text" if "text" in message else "bytes"
            await send({"type": "websocket.send", key: message[key]})
        assert (await receive())["type"] == "websocket.disconnect"
        with pytest.raises(OSError):
            await send({"type": "websocket.send", "text": "late"})

    sent = (
        WebsocketMessage(MessageType.string, "hi"),
        WebsocketMessage(MessageType.bytes, b"\x00"),
        WebsocketMessage(MessageType.close),
    )
    protocol, got = run(socket(app, *sent))
    assert got[:2] == ["hi", b"\x00"]


def test_websocket_of_an_app_whose_http_routes_are_compiled() -> None:
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())

    app = Starlette(routes=[WebSocketRoute("/", echo)])
    assert run(socket(app, WebsocketMessage(MessageType.string, "hi")))[1][0] == "hi"


def test_websocket_close_before_accept_is_a_403() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})

    protocol, _ = run(socket(app))
    assert (protocol.status, protocol.accepted.is_set()) == (403, False)


@pytest.mark.parametrize("app_raises", [True, False])
def test_websocket_that_is_not_answered_is_a_500(app_raises: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if app_raises:
            raise ValueError

    protocol, _ = run(socket(app))
    assert protocol.status == 500


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"type": "websocket.accept", "subprotocol": "soap"}, "subprotocol 'soap'.*--transport asgi"),
        ({"type": "websocket.send", "text": "early"}, "Expected ASGI message 'websocket.accept'"),
    ],
)
def test_websocket_what_cannot_be_carried_is_an_error(message: Any, error: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with pytest.raises(RuntimeError, match=error):
            await send(message)

    run(socket(app))
