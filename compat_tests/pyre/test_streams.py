"""Streams: server-sent events, back-pressure, a client that leaves."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from freelane.adapters.pyre import Pyre, PyreResponse, PyreStream
from freelane.adapters.pyre.streams import CAPACITY, format_event
from freelane.adapters.pyre.testing import TestClient

pytestmark = pytest.mark.thread_unsafe(reason="one server for all of them")

outcomes: dict[str, Any] = {}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = Pyre()

    @app.get("/events")
    def events(req: Any) -> PyreStream:
        stream = PyreStream()

        def produce() -> None:
            for number in range(3):
                stream.send_event(f"{number}\nline", event="count", id=str(number))
                time.sleep(0.02)
            stream.close()

        threading.Thread(target=produce).start()
        return stream

    @app.post("/events-after-body")
    async def events_after_body(req: Any) -> PyreStream:
        stream = PyreStream("text/plain", 202, {"x-own": "1"})
        stream.send(f"{len(req.body)} bytes")
        stream.close()
        return stream

    @app.get("/endless")
    def endless(req: Any) -> PyreStream:
        stream = PyreStream()

        def produce() -> None:
            try:
                for _ in range(2000):
                    stream.send("tick")
                    time.sleep(0.005)
                outcomes["endless"] = "never noticed"
            except ConnectionError as exc:
                outcomes["endless"] = str(exc)

        threading.Thread(target=produce).start()
        return stream

    @app.get("/flood")
    def flood(req: Any) -> PyreStream:
        stream = PyreStream()

        def produce() -> None:
            try:
                for _ in range(10 * CAPACITY):
                    stream.send("x" * 65536)
            except (BlockingIOError, ConnectionError) as exc:
                outcomes["flood"] = type(exc).__name__
            stream.close()

        threading.Thread(target=produce).start()
        return stream

    @app.get("/patient")
    async def patient(req: Any) -> PyreStream:
        stream = PyreStream()

        async def produce() -> None:
            for number in range(3 * CAPACITY):
                await stream.asend(f"{number}\n")
            stream.close()

        app.patient_task = asyncio.create_task(produce())  # type: ignore[attr-defined]
        return stream

    @app.get("/generator")
    def generator(req: Any) -> Iterator[str]:
        yield "a"
        yield "b"

    @app.get("/async-generator")
    def async_generator(req: Any) -> AsyncIterator[str]:
        async def chunks() -> AsyncIterator[str]:
            try:
                for letter in "abc":
                    yield letter
                    await asyncio.sleep(0.01)
            finally:
                outcomes["generator"] = "closed"

        return chunks()

    @app.get("/twice")
    def twice(req: Any) -> Any:
        return PyreResponse(app.once)  # type: ignore[attr-defined]

    app.once = PyreStream()  # type: ignore[attr-defined]
    app.once.close()  # type: ignore[attr-defined]
    with TestClient(app) as client:
        yield client


def wait_for(name: str) -> Any:
    deadline = time.monotonic() + 120
    while name not in outcomes and time.monotonic() < deadline:
        time.sleep(0.02)
    return outcomes.get(name)


def test_events_arrive_while_they_are_made(client: TestClient) -> None:
    connection = http.client.HTTPConnection(client.host, client.port, timeout=120)
    connection.request("GET", "/events")
    response = connection.getresponse()
    assert (response.getheader("content-type"), response.getheader("cache-control")) == ("text/event-stream", "no-cache")
    first = b""
    while not first.endswith(b"\n\n"):
        first += response.read1(1)
    assert first == b"id: 0\nevent: count\ndata: 0\ndata: line\n\n"
    assert response.read().count(b"event: count") == 2


def test_stream_after_a_body(client: TestClient) -> None:
    response = client.post("/events-after-body", body="12345")
    assert (response.status_code, response.text, response.headers["x-own"]) == (202, "5 bytes", "1")


def test_client_that_leaves_ends_the_stream(client: TestClient) -> None:
    with socket.create_connection((client.host, client.port)) as connection:
        connection.sendall(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert wait_for("endless") == "client disconnected"


def test_slow_client_is_back_pressure(client: TestClient) -> None:
    with socket.create_connection((client.host, client.port)) as connection:
        connection.sendall(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n")
        assert wait_for("flood") == "BlockingIOError"


def test_awaited_send_waits_for_room(client: TestClient) -> None:
    lines = client.get("/patient").text.splitlines()
    assert lines == [str(number) for number in range(3 * CAPACITY)]


@pytest.mark.parametrize(("path", "text"), [("/generator", "ab"), ("/async-generator", "abc")])
def test_generators_are_streamed(client: TestClient, path: str, text: str) -> None:
    response = client.get(path)
    assert (response.text, response.headers.get("transfer-encoding")) == (text, "chunked")


def test_async_generator_is_closed(client: TestClient) -> None:
    client.get("/async-generator")
    assert wait_for("generator") == "closed"


def test_stream_is_sent_once(client: TestClient) -> None:
    assert [client.get("/twice").status_code, client.get("/twice").status_code] == [200, 500]


@pytest.mark.parametrize("field", ["event", "id"])
@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_fields_cannot_inject_lines(field: str, value: str) -> None:
    with pytest.raises(ValueError, match=field):
        format_event("data", **{field: value})


def test_data_of_every_kind_of_line() -> None:
    assert format_event("a\r\nb\rc\u2028d\n") == "data: a\ndata: b\ndata: c\u2028d\n\n"


def test_stream_nobody_holds_is_closed() -> None:
    stream = PyreStream()
    channel = stream.channel
    del stream
    assert channel.closed
