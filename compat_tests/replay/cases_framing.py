"""Requests whose answers the server decides: framing, connections, clients that leave."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .case import Case, Header, Script, ask, request
from .wire import Session

CHUNKED: Header = ("Transfer-Encoding", "chunked")
EXPECT: Header = ("Expect", "100-continue")
CLOSE: Header = ("Connection", "close")


def kept(name: str, requests: Sequence[bytes], *, together: bool = False, wait: float = 0.3) -> Case:
    """Requests over one connection, one after another or pipelined, then how the connection ends."""

    def script(session: Session) -> None:
        connection = session.open()
        if together:
            connection.send(b"".join(requests))
        for data in requests:
            if not together:
                connection.send(data)
            connection.answer(head=data.startswith(b"HEAD"))
        connection.end(wait)

    return Case(name, script)


def raw(name: str, data: bytes, wait: float = 1.0) -> Case:
    """Bytes as they are, one answer, and whether the connection is closed after it."""

    def script(session: Session) -> None:
        connection = session.open()
        connection.send(data)
        connection.answer()
        connection.end(wait)

    return Case(name, script)


def in_pieces(name: str, pieces: Sequence[bytes]) -> Case:
    def script(session: Session) -> None:
        connection = session.open()
        for piece in pieces:
            connection.send(piece)
            time.sleep(0.02)
        connection.answer()

    return Case(name, script)


def chunks(*parts: bytes) -> bytes:
    return b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)


def expect_then_body(session: Session) -> None:
    connection = session.open()
    connection.send(request("POST", "/body", [EXPECT, ("Content-Length", "5")]))
    connection.answer()
    connection.send(b"later")
    connection.answer()


def expect_unread(session: Session) -> None:
    connection = session.open()
    connection.send(request("POST", "/unread", [EXPECT, ("Content-Length", "5")]))
    connection.answer()


def short_body(session: Session) -> None:
    connection = session.open()
    connection.send(request("POST", f"/short-body/{session.token}", [("Content-Length", "100")]) + b"ten bytes!")
    time.sleep(0.1)
    connection.close()
    session.noted(1)


def short_chunked_body(session: Session) -> None:
    connection = session.open()
    connection.send(request("POST", f"/short-body/{session.token}", [CHUNKED]) + chunks(b"one"))
    time.sleep(0.1)
    connection.close()
    session.noted(1)


def leave_while_waiting(session: Session) -> None:
    connection = session.open()
    connection.send(request("GET", f"/watch-disconnect/{session.token}"))
    time.sleep(0.1)
    connection.close()
    session.noted(1)


def leave_stream(session: Session) -> None:
    connection = session.open()
    connection.send(request("GET", f"/endless/{session.token}"))
    connection.reader.until(b"tick\n")
    connection.close()
    session.noted(1)


def half_close(session: Session) -> None:
    connection = session.open()
    connection.send(request("GET", "/text"))
    connection.half_close()
    connection.answer()
    connection.end()


def slow_def_pipelined(session: Session) -> None:
    """Answers keep the order of their requests, even when a later one is ready sooner."""
    connection = session.open()
    connection.send(request("GET", "/def/slow") + request("GET", "/text") + request("GET", "/def/text"))
    for _ in range(3):
        connection.answer()


def after_chunked_body(session: Session) -> None:
    connection = session.open()
    connection.send(request("POST", "/body", [CHUNKED]) + chunks(b"first") + b"0\r\n\r\n")
    connection.answer()
    connection.send(request("GET", "/text"))
    connection.answer()


def unread_then_next(session: Session) -> None:
    """A body the app did not read must not be taken for the next request."""
    connection = session.open()
    connection.send(request("POST", "/unread", body=b"GET /error HTTP/1.1\r\n\r\n"))
    connection.answer()
    connection.send(request("GET", "/text"))
    connection.answer()


_CHUNKED_POST = request("POST", "/body", [CHUNKED])
_BIG_UNREAD = request("POST", "/unread", body=b"b" * 300_000)
_SCRIPTS: dict[str, Script] = {
    "expect 100-continue": expect_then_body,
    "expect 100-continue not read": expect_unread,
    "short body": short_body,
    "short chunked body": short_chunked_body,
    "client leaves while app waits": leave_while_waiting,
    "client leaves a stream": leave_stream,
    "half-closed by client": half_close,
    "pipelined def keeps order": slow_def_pipelined,
    "chunked body then next": after_chunked_body,
    "unread body then next": unread_then_next,
}

CASES = [
    *(Case(name, script) for name, script in _SCRIPTS.items()),
    in_pieces("chunked body", [_CHUNKED_POST, chunks(b"hello ", b"chunked"), chunks(b" world"), b"0\r\n\r\n"]),
    in_pieces("chunked body with extension", [_CHUNKED_POST, b"5;ext=1\r\nhello\r\n0\r\n\r\n"]),
    in_pieces("chunked body with trailers", [_CHUNKED_POST, b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n"]),
    in_pieces("head in pieces", [b"GET /te", b"xt HTTP/1.1\r\nHo", b"st: testserver\r\n", b"\r\n"]),
    in_pieces("body in pieces", [request("POST", "/body", [("Content-Length", "6")]), b"ab", b"cd", b"ef"]),
    kept("keep-alive", [request("GET", "/text"), request("GET", "/json"), request("GET", "/missing")]),
    kept("keep-alive after HEAD", [request("HEAD", "/json"), request("GET", "/text")]),
    kept("keep-alive after 204 and 304", [request("GET", f"/status/{n}") for n in (204, 304, 200)]),
    kept("keep-alive after stream", [request("GET", "/stream/async"), request("GET", "/text")]),
    kept("keep-alive after error", [request("GET", "/error"), request("GET", "/text")]),
    kept("keep-alive after def error", [request("GET", "/def/error"), request("GET", "/def/text")]),
    kept("pipelined", [request("GET", f"/items/{i}") for i in range(5)], together=True),
    kept("pipelined POST", [request("POST", "/body", body=b"x" * n) for n in (3, 0, 9)], together=True),
    kept("connection close", [request("GET", "/text", [CLOSE])], wait=1.0),
    kept("connection close of stream", [request("GET", "/stream/async", [CLOSE])], wait=1.0),
    kept("large unread body", [_BIG_UNREAD, request("GET", "/text")], wait=0.3),
    kept("HTTP/1.0", [request("GET", "/text", version="1.0")], wait=1.0),
    kept("HTTP/1.0 keep-alive", [request("GET", "/text", [("Connection", "keep-alive")], version="1.0")] * 2),
    kept("HTTP/1.0 stream", [request("GET", "/stream/async", version="1.0")], wait=1.0),
    kept("HTTP/1.0 without host", [request("GET", "/text", version="1.0", host=None)], wait=1.0),
    ask("HTTP/1.0 scope", "GET", "/scope/values", version="1.0"),
    raw("no host", request("GET", "/text", host=None), 0.3),
    raw("two hosts", request("GET", "/text", [("Host", "other")]), 0.3),
    raw("not HTTP", b"hello\r\n\r\n"),
    raw("unknown version", b"GET /text HTTP/3.7\r\nHost: testserver\r\n\r\n"),
    raw("HTTP/0.9", b"GET /text\r\n\r\n"),
    raw("bad header name", b"GET /text HTTP/1.1\r\nHost: testserver\r\nbad header: 1\r\n\r\n"),
    raw("space before colon", b"GET /text HTTP/1.1\r\nHost: testserver\r\nx-a : 1\r\n\r\n"),
    raw("NUL in header", b"GET /headers HTTP/1.1\r\nHost: testserver\r\nx-a: \x00\r\n\r\n"),
    raw("folded header", b"GET /headers HTTP/1.1\r\nHost: testserver\r\nx-a: 1\r\n 2\r\n\r\n"),
    raw("bare LF", b"GET /text HTTP/1.1\nHost: testserver\n\n", 0.3),
    raw("leading blank line", b"\r\n" + request("GET", "/text"), 0.3),
    raw("bad content-length", request("POST", "/body", [("Content-Length", "x")])),
    raw("negative content-length", request("POST", "/body", [("Content-Length", "-1")])),
    raw("two content-lengths", request("POST", "/body", [("Content-Length", "1"), ("Content-Length", "2")]) + b"ab"),
    raw("length and chunked", request("POST", "/body", [("Content-Length", "3"), CHUNKED]) + b"0\r\n\r\n"),
    raw("unknown transfer-encoding", request("POST", "/body", [("Transfer-Encoding", "gzip")])),
    raw("bad chunk size", _CHUNKED_POST + b"zz\r\n"),
    raw("huge header", request("GET", "/text", [("X-Huge", "v" * 600_000)])),
    raw("upgrade to h2c", request("GET", "/text", [("Connection", "Upgrade"), ("Upgrade", "h2c")]), 0.3),
]
