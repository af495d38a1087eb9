"""WebSocket handlers, with a real client."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from freelane.adapters.pyre import Pyre, PyreResponse, PyreWebSocket
from freelane.adapters.pyre.testing import TestClient

pytestmark = pytest.mark.thread_unsafe(reason="one server for all of them")

outcomes: dict[str, Any] = {}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = Pyre()

    @app.before_request
    def hook(req: Any) -> Any:
        return PyreResponse("no entry", 401) if req.headers.get("x-stop") else None

    @app.websocket("/echo/{room}")
    def echo(ws: PyreWebSocket) -> None:
        while (message := ws.recv_message()) is not None:
            kind, data = message
            if kind == "text":
                ws.send(f"{ws.params['room']}: {data}")
            else:
                ws.send_bytes(data[::-1])
        outcomes["code"] = ws.close_code

    @app.websocket("/only-text")
    def only_text(ws: PyreWebSocket) -> None:
        ws.send(str(ws.recv()))

    @app.websocket("/close")
    def close(ws: PyreWebSocket) -> None:
        ws.send("bye")
        ws.close(4001, "enough")
        ws.close()
        with pytest.raises(ConnectionError):
            ws.send("late")
        outcomes["closed"] = True

    @app.websocket("/async")
    async def on_loop(ws: PyreWebSocket) -> None:
        async for message in ws:
            await ws.asend(message)

    @app.websocket("/async-blocking")
    async def blocking(ws: PyreWebSocket) -> None:
        ws.send(f"got {ws.recv()}")  # as in Pyre, where each handler has a thread of its own

    @app.websocket("/boom")
    def boom(ws: PyreWebSocket) -> None:
        raise RuntimeError("broken")

    @app.websocket("/own-origin", origins=["https://ours.example"])
    def own_origin(ws: PyreWebSocket) -> None:
        ws.send("welcome")

    @app.get("/")
    def home(req: Any) -> str:
        return "http works too"

    with TestClient(app) as client:
        yield client


def url(client: TestClient, path: str) -> str:
    return f"ws://{client.host}:{client.port}{path}"


def test_text_and_binary(client: TestClient) -> None:
    with connect(url(client, "/echo/lobby")) as ws:
        ws.send("hello")
        assert ws.recv(5) == "lobby: hello"
        ws.send(b"\x00\x01")
        assert ws.recv(5) == b"\x01\x00"
        ws.close(4003)
    deadline = time.monotonic() + 5
    while "code" not in outcomes and time.monotonic() < deadline:
        time.sleep(0.02)
    assert outcomes["code"] == 4003


def test_recv_drops_binary(client: TestClient) -> None:
    with connect(url(client, "/only-text")) as ws:
        ws.send(b"dropped")
        ws.send("kept")
        assert ws.recv(5) == "kept"


def test_close_code_and_reason(client: TestClient) -> None:
    with connect(url(client, "/close")) as ws:
        assert ws.recv(5) == "bye"
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(5)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "enough")
    assert outcomes["closed"]


def test_handler_that_returns_closes_with_1000(client: TestClient) -> None:
    with connect(url(client, "/only-text")) as ws:
        ws.send("x")
        assert ws.recv(5) == "x"
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(5)
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 1000


def test_handler_that_fails_closes_with_1011(client: TestClient) -> None:
    with connect(url(client, "/boom")) as ws, pytest.raises(ConnectionClosed) as caught:
        ws.recv(5)
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 1011


@pytest.mark.parametrize("code", [999, 1005, 1006, 1015, 5000])
def test_close_codes_of_the_protocol_are_refused(code: int) -> None:
    ws = PyreWebSocket.__new__(PyreWebSocket)
    with pytest.raises(ValueError, match="close code"):
        ws.close(code)


def test_async_handler(client: TestClient) -> None:
    with connect(url(client, "/async")) as ws:
        for message in ("a", b"b", "c" * 100_000):
            ws.send(message)
            assert ws.recv(5) == message


def test_async_handler_may_block_as_in_pyre(client: TestClient) -> None:
    with connect(url(client, "/async-blocking")) as ws:
        assert client.get("/").text == "http works too"
        ws.send("x")
        assert ws.recv(5) == "got x"


def test_many_connections_do_not_take_the_servers_threads(client: TestClient) -> None:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(connect(url(client, "/echo/many"))) for _ in range(60)]
        assert client.get("/").text == "http works too"
        for number, ws in enumerate(sockets):
            ws.send(str(number))
        assert [ws.recv(5) for ws in sockets] == [f"many: {number}" for number in range(60)]


def test_hook_refuses_the_handshake(client: TestClient) -> None:
    with pytest.raises(InvalidStatus) as caught:
        connect(url(client, "/echo/x"), additional_headers={"x-stop": "1"})
    assert (caught.value.response.status_code, caught.value.response.body) == (401, b"no entry")


def test_unknown_path_is_404(client: TestClient) -> None:
    with pytest.raises(InvalidStatus) as caught:
        connect(url(client, "/nowhere"))
    assert caught.value.response.status_code == 404


def test_other_origin_is_refused(client: TestClient) -> None:
    with pytest.raises(InvalidStatus) as caught:
        connect(url(client, "/own-origin"), origin=Origin("https://evil.example"))
    assert caught.value.response.status_code == 403
    with connect(url(client, "/own-origin"), origin=Origin("https://ours.example")) as ws:
        assert ws.recv(5) == "welcome"
