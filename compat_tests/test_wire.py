"""The gil lane's protocol: what goes in comes out, and no input does harm."""

from __future__ import annotations

import asyncio
import socket
import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freelane.fastcore.lane import decoder, protocol
from freelane.fastcore.lane.transport import Link

EVERY = tuple(range(1, 14))
names = st.binary(min_size=1, max_size=40)
headers = st.lists(st.tuples(names, st.binary(max_size=200)), max_size=20)
texts = st.text(max_size=60)
peers = st.none() | st.tuples(texts, st.none() | st.integers(0, 65535))


@st.composite
def scopes(draw: st.DrawFn) -> dict[str, Any]:
    websocket = draw(st.booleans())
    scope: dict[str, Any] = {
        "type": "websocket" if websocket else "http",
        "http_version": draw(st.sampled_from(["1.0", "1.1", "2", "3"])),
        "scheme": draw(st.sampled_from(["http", "https", "ws", "wss"])),
        "client": draw(peers),
        "server": draw(peers),
        "root_path": draw(texts),
        "path": draw(texts),
        "raw_path": draw(st.binary(max_size=80)),
        "query_string": draw(st.binary(max_size=80)),
        "headers": draw(headers),
    }
    if websocket:
        scope["subprotocols"] = draw(st.lists(texts, max_size=4))
        if draw(st.booleans()):
            scope["extensions"] = {"websocket.http.response": {}}
    else:
        scope["method"] = draw(st.text(max_size=20))
    return scope


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in zip(places, places[1:])]


@given(scopes(), st.binary(max_size=1000), st.booleans(), st.lists(st.integers(0, 10_000), max_size=6))
def test_a_request_comes_out_as_it_went_in(scope: dict[str, Any], body: bytes, end: bool, cuts: list[int]) -> None:
    reader = decoder.Decoder(EVERY)
    frames = [f for part in split(protocol.encode_request(7, scope, body, end), cuts) for f in reader.feed(part)]
    [(kind, flags, stream, payload)] = frames
    assert (kind, flags, stream) == (protocol.REQUEST, protocol.END if end else 0, 7)
    decoded: dict[str, Any] = {}
    assert decoder.decode_request(payload, decoded, {"a": 1}) == body
    assert decoded.pop("state") == {"a": 1}
    assert decoded.pop("asgi") == {"version": "3.0", "spec_version": "2.4" if scope["type"] == "websocket" else "2.3"}
    assert decoded == scope


@given(st.integers(0, 65535), headers, st.binary(max_size=1000), st.booleans())
def test_a_response_comes_out_as_it_went_in(status: int, pairs: list[Any], body: bytes, end: bool) -> None:
    [(kind, flags, stream, payload)] = decoder.Decoder(EVERY).feed(protocol.encode_response(9, status, pairs, body, end))
    assert (kind, bool(flags & protocol.END), stream) == (protocol.RESPONSE, end, 9)
    assert decoder.decode_response(payload) == (status, pairs, body)


@given(st.none() | st.text(min_size=1, max_size=30), headers, st.integers(0, 65535), st.text(max_size=200))
def test_websocket_frames_come_out_as_they_went_in(name: str | None, pairs: list[Any], code: int, reason: str) -> None:
    [(_, _, _, payload)] = decoder.Decoder(EVERY).feed(protocol.encode_accept(3, name, pairs))
    assert decoder.decode_accept(payload) == (name, pairs)
    [(_, _, _, payload)] = decoder.Decoder(EVERY).feed(protocol.close_frame(3, code, reason))
    decoded = decoder.decode_close(payload)
    assert decoded[0] == code
    assert reason.startswith(decoded[1])
    assert len(decoded[1].encode()) <= 123


@given(st.lists(st.tuples(st.sampled_from([protocol.BODY, protocol.MESSAGE]), st.integers(1, 2**32 - 1),
                          st.integers(0, 40_000), st.booleans()), max_size=8),
       st.lists(st.integers(0, 400_000), max_size=8))  # fmt: skip
def test_frames_come_out_however_they_are_cut(items: list[tuple[int, int, int, bool]], cuts: list[int]) -> None:
    expected, data = [], b""
    for kind, stream, size, end in items:
        payload = bytes(size)
        flags = protocol.END if end else 0
        data += protocol.frame(kind, flags, stream, payload)
        expected.append((kind, flags, stream, payload))
    reader = decoder.Decoder(EVERY)
    assert [frame for part in split(data, cuts) for frame in reader.feed(part)] == expected


@settings(max_examples=500)
@given(st.binary(max_size=2000))
def test_noise_is_a_protocol_error_or_nothing(data: bytes) -> None:
    try:
        frames = decoder.Decoder(EVERY).feed(data)
    except protocol.ProtocolError:
        return
    decode(frames)


@settings(max_examples=1000)
@given(scopes(), st.data())
def test_a_frame_with_a_few_wrong_bytes_does_no_harm(scope: dict[str, Any], data: st.DataObject) -> None:
    frame = bytearray(protocol.encode_request(1, scope, b"body", True))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(decoder.Decoder(EVERY).feed(bytes(frame)))
    except protocol.ProtocolError:
        pass


@settings(max_examples=1000)
@given(st.sampled_from(EVERY), st.binary(max_size=300))
def test_any_payload_is_understood_or_a_protocol_error(kind: int, payload: bytes) -> None:
    decode([(kind, 0, 1, payload)])


def decode(frames: list[tuple[int, int, int, bytes]]) -> None:
    decoders = {
        protocol.REQUEST: lambda payload: decoder.decode_request(payload, {}, {}), protocol.RESPONSE: decoder.decode_response,
        protocol.ACCEPT: decoder.decode_accept, protocol.CLOSE: decoder.decode_close, protocol.CREDIT: decoder.decode_number,
        protocol.PING: decoder.decode_number, protocol.PONG: decoder.decode_number,
    }  # fmt: skip
    for kind, _, _, payload in frames:
        try:
            decoders.get(kind, len)(payload)
        except protocol.ProtocolError:
            pass


@pytest.mark.parametrize(
    "head",
    [
        b"\x02\x05\x00\x00" + struct.pack("<II", 1, 0),  # another version
        b"\x01\x00\x00\x00" + struct.pack("<II", 1, 0),  # no kind
        b"\x01\x0e\x00\x00" + struct.pack("<II", 1, 0),  # an unknown kind
        b"\x01\x05\x04\x00" + struct.pack("<II", 1, 0),  # an unknown flag
        b"\x01\x05\x00\x01" + struct.pack("<II", 1, 0),  # the reserved byte
        b"\x01\x05\x00\x00" + struct.pack("<II", 1, protocol.MAX_CHUNK + 1),
        b"\x01\x05\x00\x00" + struct.pack("<II", 1, 2**32 - 1),
        b"\x01\x09\x00\x00" + struct.pack("<II", 1, 3),  # a CREDIT of three bytes
        b"\x01\x0a\x00\x00" + struct.pack("<II", 1, 1),  # a RESET that says something
    ],
)
def test_a_head_beyond_the_grammar_is_refused_before_its_payload(head: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        decoder.Decoder(EVERY).feed(head)


def test_kinds_that_the_other_end_may_not_send_are_refused() -> None:
    with pytest.raises(protocol.ProtocolError):
        decoder.Decoder(protocol.FROM_LANE).feed(protocol.frame(protocol.GOAWAY, 0, 0, b""))
    with pytest.raises(protocol.ProtocolError):
        decoder.Decoder(protocol.FROM_SERVER).feed(protocol.frame(protocol.READY, 0, 0, b""))


@pytest.mark.thread_unsafe(reason="tracemalloc counts every thread")
def test_an_announced_length_allocates_no_more_than_its_limit() -> None:
    head = b"\x01\x05\x00\x00" + struct.pack("<II", 1, protocol.MAX_CHUNK)
    tracemalloc.start()
    try:
        decoders = [decoder.Decoder(EVERY) for _ in range(4)]
        for reader in decoders:
            reader.feed(head)
        assert tracemalloc.get_traced_memory()[1] < 4 * (protocol.MAX_CHUNK + 10_000)
    finally:
        tracemalloc.stop()


def test_limits_hold_when_writing() -> None:
    scope: dict[str, Any] = {"type": "http", "method": "GET", "http_version": "1.1", "scheme": "http", "client": None,
                             "server": None, "path": "/", "raw_path": b"/", "root_path": "", "query_string": b"",
                             "headers": [(b"a", b"x" * protocol.MAX_HEAD)]}  # fmt: skip
    with pytest.raises(ValueError, match="longer than the gil lane carries"):
        protocol.encode_request(1, scope, b"", True)
    with pytest.raises(ValueError, match="longer than the gil lane carries"):
        protocol.encode_response(1, 200, scope["headers"], b"", True)
    with pytest.raises(ValueError, match="cannot hold"):
        protocol.frame(protocol.BODY, 0, 1, bytes(protocol.MAX_CHUNK + 1))
    with pytest.raises(protocol.ProtocolError, match="a message of more"):
        parts = [bytes(protocol.MAX_CHUNK)] * 4
        protocol.join_message(parts, protocol.END, b"x")


@pytest.mark.thread_unsafe(reason="runs an event loop")
def test_a_link_carries_frames_both_ways_and_tells_of_its_end() -> None:
    async def talk() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
        received: list[Any] = []
        ended = loop.create_future()
        closed = loop.create_future()
        one = Link(loop, ours, EVERY, lambda *frame: None, closed.set_result)

        def on_frame(*frame: Any) -> None:
            received.append(frame)
            if frame[1] & protocol.END:
                ended.set_result(None)

        two = Link(loop, theirs, EVERY, on_frame, lambda error: None)
        large = bytes(range(256)) * 40_000
        for n in range(1, 500):
            one.write(protocol.frame(protocol.BODY, 0, n, b"x" * n))
        one.write(protocol.frame_head(protocol.BODY, protocol.END, 500, len(large)))
        one.write(large)
        await asyncio.wait_for(ended, 120)
        assert [(frame[2], len(frame[3])) for frame in received] == [(n, n) for n in range(1, 500)] + [(500, len(large))]
        assert received[-1][3] == large
        two.close()
        assert await asyncio.wait_for(closed, 120) is None

    asyncio.run(talk())


@pytest.mark.thread_unsafe(reason="runs an event loop")
@pytest.mark.parametrize("noise", [b"\xff" * 100, protocol.frame(protocol.GOAWAY, 0, 0, b"")])
def test_a_link_closes_on_what_it_does_not_understand(noise: bytes) -> None:
    async def talk() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        closed = loop.create_future()
        Link(loop, ours, protocol.FROM_LANE, lambda *frame: None, closed.set_result)
        theirs.sendall(noise)
        assert isinstance(await asyncio.wait_for(closed, 120), protocol.ProtocolError)
        theirs.close()

    asyncio.run(talk())
