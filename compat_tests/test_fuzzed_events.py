"""An app that sends anything, in any order: the server lives, and each answer is uvicorn's or a dropped connection."""

from __future__ import annotations

import ast
import socket
from collections.abc import Iterator
from typing import Any

import h11
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from benchmarks.servers import Running, freelane, peers_python, serve, uvicorn

pytestmark = pytest.mark.thread_unsafe(reason="one pair of servers answers case by case")

TARGET = "compat_tests.events_app:app"

anything = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8), st.binary(max_size=8), st.just([]), st.just({}), st.just((1, b"a")),
)  # fmt: skip
names = st.one_of(
    st.sampled_from([b"content-length", b"Content-Type", b"transfer-encoding", b"connection", b"x-a", b"date", b"upgrade", b":status", b""]),
    st.binary(max_size=6), st.text(max_size=4),
)  # fmt: skip
values = st.one_of(
    st.sampled_from([b"0", b"5", b"-1", b"chunked", b"close", b"a\r\nb: c", b"text/plain", b"\x00"]),
    st.binary(max_size=6),
    anything,
)
pairs = st.one_of(st.tuples(names, values), st.lists(anything, max_size=3), anything)
headers = st.one_of(st.lists(st.tuples(st.just(b"x-a"), st.just(b"b")), max_size=2), st.lists(pairs, max_size=3), anything)
statuses = st.one_of(st.sampled_from([200, 204, 304, 404, 500, 0, 99, 100, 101, 123, 199, 600, 999, 1000, -1, "200"]), anything)
kinds = st.one_of(
    st.sampled_from(["http.response.start", "http.response.body", "http.response.trailers", "http.response.push",
                     "http.response.pathsend", "http.response.debug", "websocket.accept", "lifespan.startup.complete", "http.request"]),
    anything,
)  # fmt: skip
start = st.fixed_dictionaries({"type": st.just("http.response.start"), "status": st.one_of(st.just(200), statuses)},
                              optional={"headers": headers, "trailers": anything})  # fmt: skip
body = st.fixed_dictionaries({"type": st.just("http.response.body")},
                             optional={"body": st.one_of(st.binary(max_size=20), anything), "more_body": st.one_of(st.booleans(), anything)})  # fmt: skip
other = st.one_of(
    anything, st.fixed_dictionaries({}, optional={"type": kinds, "status": statuses, "headers": headers, "body": anything})
)
events = st.one_of(
    st.tuples(start, body).map(list),
    st.tuples(start, body, body).map(list),
    st.lists(st.one_of(start, body, body, other), max_size=5),
)  # fmt: skip


@pytest.fixture(scope="module", params=["asgi", "rsgi"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Running, Running]]:
    with serve(uvicorn(peers_python()), TARGET) as reference, serve(freelane(), TARGET, transport=request.param) as tested:
        yield reference, tested


Answer = tuple[int, bytes] | None


def ask(port: int, sent: bytes) -> Answer:
    """Status and body as a client understands them; None where the connection was dropped, or what came is no response."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(
        h11.Request(
            method="POST", target="/", headers=[("host", "a"), ("content-length", str(len(sent))), ("connection", "close")]
        )
    )
    head = f"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(sent)}\r\n\r\n".encode()
    connection.send(h11.Data(data=sent))
    connection.send(h11.EndOfMessage())
    status, data = 0, b""
    with socket.create_connection(("127.0.0.1", port), 60) as sock:
        sock.sendall(head + sent)
        try:
            while True:
                found = connection.next_event()
                if found is h11.NEED_DATA:
                    connection.receive_data(sock.recv(65536))
                elif isinstance(found, h11.Response):
                    status = found.status_code
                elif isinstance(found, h11.Data):
                    data += bytes(found.data)
                elif isinstance(found, h11.EndOfMessage):
                    return status, data
                elif not isinstance(found, h11.InformationalResponse):
                    return None
        except (h11.RemoteProtocolError, ConnectionError):
            return None


def informs(sent: Any) -> bool:
    """Whether an event is a response's start with a status that ends no request: Granian makes 500 of it (differences.md)."""
    if type(sent) is not dict or sent.get("type") != "http.response.start":
        return False
    return type(sent.get("status")) is int and 100 <= sent["status"] < 200


def agrees(events: list[Any], expected: Answer, got: Answer) -> bool:
    return got is None or got == expected or got == (500, b"") and any(map(informs, events))


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(goes_on=st.booleans(), events=events)
@example(goes_on=False, events=[{"type": "http.response.start", "status": 99}])
def test_any_events(pair: tuple[Running, Running], goes_on: bool, events: list[Any]) -> None:
    sent = repr((goes_on, events)).encode()
    assert ast.literal_eval(sent.decode()) == (goes_on, events)
    expected, got = (ask(server.port, sent) for server in pair)
    event("dropped" if got is None else f"{got[0]}")
    assert agrees(events, expected, got), (expected, got)
    assert ask(pair[1].port, b"") == (200, b"alive")
