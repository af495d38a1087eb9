"""What an app sends that no server can send, and what cannot be sent as it is: on the wire, as uvicorn answers."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from compat_tests.servers import Server, running

pytestmark = pytest.mark.thread_unsafe(reason="servers that answer case by case")

INVALID = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 30\r\n\r\n"
    b"Invalid HTTP request received."
)
HELLO = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.fixture(scope="module", params=["asgi", "rsgi"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp(transport)
    shutil.copy(Path(__file__).with_name("wire_app.py"), directory)
    options = ("--transport", transport, "--forwarded-allow-ips", "*")
    with running(directory, "wire_app:app", *options) as started:
        yield started


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 60)


def read(sock: socket.socket) -> bytes:
    """All until the server ends the connection."""
    data = b""
    while True:
        try:
            part = sock.recv(65536)
        except ConnectionResetError:
            part = b""
        if not part:
            return data
        data += part


def ask(server: Server, head: str, body: bytes = b"") -> bytes:
    """The answer to one request without the Date and Server headers."""
    with connect(server) as sock:
        sock.sendall(head.encode("latin-1") + b"\r\nHost: a\r\nConnection: close\r\n\r\n" + body)
        answer = read(sock)
    return re.sub(rb"(?im)^(date|server|connection): .*\r\n", b"", answer)


def get(server: Server, path: str, *headers: str) -> bytes:
    return ask(server, "\r\n".join([f"GET {path} HTTP/1.1", *headers]))


def parts(answer: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Status line, headers but the content type, body as it came."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return status, [line for line in lines if not line.startswith(b"content-type")], body


@pytest.mark.parametrize("status", ["0", "-1", "99", "600", "999", "1000", "65536", "70000", "text", "none", "bool", "huge"])
def test_a_status_that_is_none_breaks_one_connection_and_no_server(server: Server, status: str) -> None:
    assert get(server, f"/status/{status}") == b""
    assert parts(get(server, "/status/200"))[::2] == (b"HTTP/1.1 200 OK", HELLO)


def test_a_status_that_equals_one_is_one(server: Server) -> None:
    assert parts(get(server, "/status/float"))[::2] == (b"HTTP/1.1 200 OK", HELLO)


@pytest.mark.parametrize("path", ["/line-break", "/bad-name", "/no-name", "/long-name", "/no-number", "/negative",
                                  "/many", "/two-lengths", "/again"])  # fmt: skip
def test_a_head_that_cannot_be_sent_breaks_the_connection(server: Server, path: str) -> None:
    assert get(server, path) == b""
    assert get(server, "/").startswith(b"HTTP/1.1 200 OK")


def test_many_headers_of_one_name_end_no_server(server: Server) -> None:
    get(server, "/many-of-one")
    assert get(server, "/").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("path", ["/chunked", "/chunked-and-length", "/length-and-chunked"])
def test_an_app_may_ask_for_chunks_itself(server: Server, path: str) -> None:
    assert parts(get(server, path)) == (b"HTTP/1.1 200 OK", [b"transfer-encoding: chunked"], HELLO)
    assert parts(ask(server, f"HEAD {path} HTTP/1.1"))[::2] == (b"HTTP/1.1 200 OK", b"")


@pytest.mark.parametrize("path", ["/one-length", "/same-lengths", "/identity"])
def test_an_app_may_give_the_length_itself(server: Server, path: str) -> None:
    assert parts(get(server, path)) == (b"HTTP/1.1 200 OK", [b"content-length: 5"], b"hello")


@pytest.mark.parametrize(("path", "length"), [("/shorter", b"10"), ("/longer", b"3")])
def test_a_wrong_length_cannot_be_taken_for_a_whole_answer(server: Server, path: str, length: bytes) -> None:
    status, headers, body = parts(get(server, path))
    assert (status, headers) == (b"HTTP/1.1 200 OK", [b"content-length: " + length])
    assert len(body) < int(length)


@pytest.mark.parametrize("status", ["204", "304"])
def test_a_status_without_a_body_has_none(server: Server, status: str) -> None:
    answer = parts(get(server, f"/status/{status}"))
    assert answer[0].split()[1] == status.encode() and answer[1:] == ([], b"")


def test_a_body_where_none_is_allowed_is_an_error(server: Server) -> None:
    assert parts(get(server, "/no-body-allowed")) == (b"HTTP/1.1 204 No Content", [], b"")
    server.wait_for("Response content longer than Content-Length")


@pytest.mark.parametrize("status", ["100", "103", "199"])
def test_an_informational_status_is_no_answer(server: Server, status: str) -> None:
    assert get(server, f"/status/{status}").startswith(b"HTTP/1.1 500 ")
    server.wait_for(f"cannot send status {status} as the answer to GET /status/{status}")


def test_no_body_is_an_empty_body(server: Server, transport: str) -> None:
    chunked = b"HTTP/1.1 200 OK", [b"transfer-encoding: chunked"], b"0\r\n\r\n"
    sized = b"HTTP/1.1 200 OK", [b"content-length: 0"], b""
    # Over RSGI the stream may have ended before it is looked at: then its length is known.
    assert parts(get(server, "/none")) in ([chunked] if transport == "asgi" else [chunked, sized])


def test_an_error_after_the_head_of_an_answer_to_head_ends_the_connection(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"HEAD /cut HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read(sock).startswith(b"HTTP/1.1 200 OK")


# What uvicorn's parser refuses and Granian's does not.
REFUSED = {
    "method": "FOO /seen HTTP/1.1",
    "lower case": "get /seen HTTP/1.1",
    "path": "GET /s\xc3\xbc HTTP/1.1",
    "query": "GET /seen?q=\xc3\xbc HTTP/1.1",
    "no path": "GET seen HTTP/1.1",
    "authority": "GET a:80 HTTP/1.1",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_head_that_uvicorn_refuses_is_refused(server: Server, transport: str, name: str) -> None:
    if transport == "rsgi":
        pytest.skip("RSGI is for apps that were not written for uvicorn")
    assert ask(server, REFUSED[name]) == INVALID
    server.wait_for("Invalid HTTP request received: " + REFUSED[name].split()[0])


@pytest.mark.parametrize(
    "head", ["QUERY /seen HTTP/1.1", "M-SEARCH /seen HTTP/1.1", "OPTIONS * HTTP/1.1", "GET http://b/seen HTTP/1.1"]
)
def test_an_unusual_head_is_no_error(server: Server, head: str) -> None:
    assert ask(server, head).startswith(b"HTTP/1.1 200 OK")


def test_a_header_that_is_not_ascii(server: Server, transport: str) -> None:
    answer = get(server, "/latin")
    if transport == "asgi":
        assert 'filename="Müller.pdf"'.encode("latin-1") in answer
    else:
        assert answer.startswith(b"HTTP/1.1 500 ")
        server.wait_for("Serve this app with --transport asgi")


def test_a_location_that_is_not_ascii(server: Server, transport: str) -> None:
    answer = get(server, "/location")
    place = "/caf\u00e9?a=%20".encode("latin-1") if transport == "asgi" else b"/caf%E9?a=%20"
    assert b"\r\nlocation: " + place + b"\r\n" in answer


@pytest.mark.parametrize("name", ["c3a9", "0d0a", "00", "7f"])
def test_a_subprotocol_that_is_none_ends_no_server(server: Server, name: str) -> None:
    head = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    )
    with connect(server) as sock:
        sock.sendall(f"GET /subprotocol/{name} HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 500 ")
    assert get(server, "/").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("forwarded", ["", "X-Forwarded-For: 10.1.2.3", "X-Forwarded-For: 10.1.2.3:99", "X-Forwarded-For: ?"])
@pytest.mark.parametrize("path", ["/cut", "/cut-at-start"])
def test_a_cut_stream_does_not_end_as_if_whole(server: Server, path: str, forwarded: str) -> None:
    status, headers, body = parts(get(server, path, *([forwarded] if forwarded else [])))
    assert (status, headers) == (b"HTTP/1.1 200 OK", [b"transfer-encoding: chunked"])
    assert body == (b"4\r\nhalf\r\n" if path == "/cut" else b"")


def test_no_header_breaks_another_clients_connection(server: Server) -> None:
    with connect(server) as victim:
        victim.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            answer += (part := victim.recv(65536))
            assert part
        host, port = victim.getsockname()
        assert get(server, "/cut", f"X-Forwarded-For: {host}:{port}").endswith(b"4\r\nhalf\r\n")
        victim.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert read(victim).endswith(b"2\r\nok\r\n0\r\n\r\n")


@pytest.mark.parametrize("forwarded", ["", "X-Forwarded-For: 10.1.2.3\r\n"])
def test_a_client_that_reads_nothing_is_waited_for(server: Server, forwarded: str) -> None:
    with connect(server) as slow:
        slow.sendall(f"GET /big?{len(forwarded)} HTTP/1.1\r\nHost: a\r\n{forwarded}\r\n".encode())
        assert slow.recv(1)
        before = -1
        while before != (made := int(parts(get(server, f"/made?{len(forwarded)}"))[2].split(b"\r\n")[1])):
            before = made
            for _ in range(20):  # other requests, which the server answers meanwhile
                get(server, "/")
        assert made < 50


BAD_CHUNKS = {
    "letters": b"zz\r\nabc\r\n",
    "huge": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "too long": b"3\r\nabcdef\r\n0\r\n\r\n",
    "negative": b"-1\r\n\r\n",
    "bare line feeds": b"3\nabc\n0\n\n",
    "after a good one": b"3\r\nabc\r\nzz\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_malformed_body_is_answered_at_once(server: Server, name: str) -> None:
    answer = ask(server, "POST /body HTTP/1.1\r\nTransfer-Encoding: chunked", BAD_CHUNKS[name])
    assert answer == INVALID
    server.wait_for("the app was told http.disconnect")
    server.wait_for("the body of POST /body from 127.0.0.1:")
    assert get(server, "/").startswith(b"HTTP/1.1 200 OK")


def test_a_body_with_trailers(server: Server, transport: str) -> None:
    answer = ask(server, "POST /body HTTP/1.1\r\nTransfer-Encoding: chunked", b"3\r\nabc\r\n0\r\nX-T: 1\r\nX-U: 1\r\n\r\n")
    # RSGI does not tell trailers from the end of a broken body.
    assert answer.startswith(b"HTTP/1.1 200 OK" if transport == "asgi" else b"HTTP/1.1 400 Bad Request")
    announced = "POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-T"
    assert parts(ask(server, announced, b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"))[2] == b"1\r\n3\r\n0\r\n\r\n"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_host_that_was_not_sent_is_not_seen(server: Server, version: str) -> None:
    with connect(server) as sock:
        sock.sendall(f"GET /seen HTTP/{version}\r\nConnection: close\r\n\r\n".encode())
        answer = read(sock)
    assert b"connection" in answer and b"host" not in answer.lower()


def test_nothing_of_this_ended_the_server(server: Server) -> None:
    assert server.process.poll() is None
