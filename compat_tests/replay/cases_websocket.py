"""WebSocket handshakes, messages and endings, down to the frame."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from .case import UPGRADE, Case, Header, Script, request, websocket
from .frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload
from .wire import Session

Sent = tuple[int, bytes]


def talk(name: str, path: str, send: Sequence[Sent] = (), frames: int = 1, headers: Iterable[Header] = ()) -> Case:
    """A handshake, the frames to send, the number of frames to read back, then how it ends."""
    headers = tuple(headers)

    def script(session: Session) -> None:
        connection = websocket(session, path, headers)
        for opcode, payload in send:
            connection.send_frame(opcode, payload)
        for _ in range(frames):
            frame = connection.frame()
        if frame is not None and frame.opcode == CLOSE:
            connection.send_frame(CLOSE, frame.payload[:2])
        connection.end(0.3)

    return Case(name, script)


def closed_by_server(name: str, path: str, frames: int = 1, headers: Iterable[Header] = ()) -> Case:
    """Reads to the server's close frame, answers it as a client must, and sees the connection end."""
    headers = tuple(headers)

    def script(session: Session) -> None:
        connection = websocket(session, path, headers)
        for _ in range(frames):
            frame = connection.frame()
        if frame is not None and frame.opcode == CLOSE:
            connection.send_frame(CLOSE, frame.payload[:2])
        connection.end()

    return Case(name, script)


def refused(name: str, path: str, headers: Iterable[Header] = UPGRADE, method: str = "GET") -> Case:
    data = request(method, path, headers)

    def script(session: Session) -> None:
        session.ask(data)

    return Case(name, script)


def closed_by_client(name: str, payload: bytes) -> Case:
    """What the app sees of the client's close frame, and what the client gets back."""

    def script(session: Session) -> None:
        connection = websocket(session, f"/ws/watch/{session.token}")
        connection.send_frame(TEXT, b"one")
        connection.send_frame(CLOSE, payload)
        connection.frame()
        connection.end()
        session.noted(2)

    return Case(name, script)


def broken_by_client(name: str, opcode: int, payload: bytes, *, masked: bool = True) -> Case:
    """A frame against the protocol: the close code it is answered with, and the one the app sees."""

    def script(session: Session) -> None:
        connection = websocket(session, f"/ws/watch/{session.token}")
        connection.send_frame(opcode, payload, masked=masked)
        connection.frame()
        connection.end()
        session.noted(1)

    return Case(name, script)


def client_vanishes(session: Session) -> None:
    connection = websocket(session, f"/ws/watch/{session.token}")
    connection.send_frame(TEXT, b"one")
    time.sleep(0.1)
    connection.close()
    session.noted(2)


def send_to_the_gone(session: Session) -> None:
    connection = websocket(session, f"/ws/send-to-the-gone/{session.token}")
    connection.frame()
    connection.close()
    session.noted(1)


def send_after_client_close(session: Session) -> None:
    connection = websocket(session, f"/ws/send-to-the-gone/{session.token}")
    connection.frame()
    connection.send_frame(CLOSE, close_payload(1000))
    session.noted(1)


def fragmented(session: Session) -> None:
    connection = websocket(session, "/ws/echo")
    connection.send_frame(TEXT, "čá".encode()[:1], final=False)
    connection.send_frame(PING, b"between")
    connection.send_frame(CONTINUATION, "čá".encode()[1:], final=False)
    connection.send_frame(CONTINUATION, b"", final=True)
    connection.frame()
    connection.frame()


def frame_with_handshake(session: Session) -> None:
    """A client that does not wait for the handshake's answer before it speaks."""
    connection = session.open()
    connection.send(request("GET", "/ws/echo", UPGRADE))
    connection.send_frame(TEXT, b"eager")
    connection.answer()
    connection.frame()


_SCRIPTS: dict[str, Script] = {
    "ws client vanishes": client_vanishes,
    "ws send to the gone": send_to_the_gone,
    "ws send after client close": send_after_client_close,
    "ws fragmented with ping": fragmented,
    "ws frame sent with handshake": frame_with_handshake,
}

DEFLATE: Header = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
PROTOCOLS: Header = ("Sec-WebSocket-Protocol", "chat.v1, chat.v2")
NO_KEY = tuple(header for header in UPGRADE if header[0] != "Sec-WebSocket-Key")
OLD_VERSION = (*(header for header in UPGRADE if header[0] != "Sec-WebSocket-Version"), ("Sec-WebSocket-Version", "8"))

CASES = [
    *(Case(name, script) for name, script in _SCRIPTS.items()),
    talk("ws text", "/ws/echo", [(TEXT, "ahoj 🐎".encode())]),
    talk("ws bytes", "/ws/echo", [(BINARY, b"\x00\xff\x01")]),
    talk("ws empty messages", "/ws/echo", [(TEXT, b""), (BINARY, b"")], 2),
    talk("ws many messages", "/ws/echo", [(TEXT, str(i).encode()) for i in range(50)], 50),
    talk("ws large message", "/ws/echo", [(BINARY, b"w" * 1_000_000)]),
    talk("ws ping", "/ws/echo", [(PING, b"are you there")]),
    talk("ws pong unasked", "/ws/echo", [(0xA, b"x"), (TEXT, b"after")]),
    talk("ws class endpoint", "/ws/class", [(TEXT, b"hello")]),
    talk("ws json", "/ws/json", [(TEXT, b'{"a": 1}')], 3),
    talk("ws deflate offered", "/ws/echo", [(TEXT, b"a")], 1, [DEFLATE]),
    closed_by_server("ws subprotocol", "/ws/subprotocol", 2, [PROTOCOLS]),
    closed_by_server("ws subprotocol not offered", "/ws/subprotocol", 2),
    closed_by_server("ws accept headers", "/ws/accept-headers"),
    closed_by_server("ws close 1000", "/ws/close/1000"),
    closed_by_server("ws close 1001 with reason", "/ws/close/1001?reason=going%20away"),
    closed_by_server("ws close 4001 with reason", "/ws/close/4001?reason=%C4%8Dau"),
    closed_by_server("ws close 3000", "/ws/close/3000"),
    closed_by_server("ws push", "/ws/push", 9),
    closed_by_server("ws fail after accept", "/ws/fail-late", 2),
    closed_by_server("ws return after accept", "/ws/return-late", 2),
    closed_by_server("ws exception with code", "/ws/websocket-exception"),
    closed_by_server("ws scope", "/ws/scope?a=1", 2, [PROTOCOLS]),
    closed_by_server("ws scope of encoded path", "/ws/scope/a%2Fb%20%C4%8D", 2),
    closed_by_server("ws headers", "/ws/headers", 2, [("X-Many", "1"), ("X-Many", "2"), ("X-Latin", b"caf\xe9")]),
    closed_by_server("ws keys", "/ws/keys", 2),
    closed_by_server("ws state, url and cookies", "/ws/state?q=1", 2, [("Cookie", "a=1; b=2")]),
    refused("ws denied", "/ws/deny"),
    refused("ws denied with response", "/ws/deny-response"),
    refused("ws http exception", "/ws/http-exception"),
    refused("ws fail before accept", "/ws/fail-early"),
    refused("ws return before accept", "/ws/return-early"),
    refused("ws not found", "/ws/missing"),
    refused("ws on http route", "/text"),
    refused("ws without upgrade", "/ws/echo", ()),
    refused("ws without key", "/ws/echo", NO_KEY),
    refused("ws of old version", "/ws/echo", OLD_VERSION),
    refused("ws by POST", "/ws/echo", UPGRADE, "POST"),
    closed_by_client("ws closed by client 1000", close_payload(1000)),
    closed_by_client("ws closed by client 1001", close_payload(1001, "leaving")),
    closed_by_client("ws closed by client 4321", close_payload(4321, "důvod")),
    closed_by_client("ws closed by client without code", b""),
    broken_by_client("ws closed by client with bad code", CLOSE, close_payload(1005)),
    broken_by_client("ws text not utf8", TEXT, b"\xff\xfe"),
    broken_by_client("ws frame not masked", TEXT, b"bare", masked=False),
    broken_by_client("ws unknown opcode", 0x3, b"x"),
    broken_by_client("ws continuation of nothing", CONTINUATION, b"x"),
    broken_by_client("ws long ping", PING, b"p" * 126),
]
