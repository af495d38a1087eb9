"""The rows of migration_guide/differences.md: what Granian does otherwise than uvicorn, and cannot be led to do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from compat_tests.servers import Server, running
from compat_tests.test_odd_answers import connect, read

pytestmark = pytest.mark.thread_unsafe(reason="one server answers case by case")

CLOSE = "Host: a\r\nConnection: close\r\n\r\n"
POST = "POST /body HTTP/1.1\r\n"

# What is sent, and how the answer begins.
ROWS = {
    "no valid HTTP": (
        "GET / HTTP/1.1\r\nbad header: 1\r\n" + CLOSE,
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0",
    ),
    "101 headers": ("GET / HTTP/1.1\r\n" + "X: 1\r\n" * 99 + CLOSE, "HTTP/1.1 431 "),
    "100 headers": ("GET / HTTP/1.1\r\n" + "X: 1\r\n" * 98 + CLOSE, "HTTP/1.1 200 "),
    "long target": ("GET /?" + "q" * 66_000 + " HTTP/1.1\r\n" + CLOSE, "HTTP/1.1 414 "),
    "quotes": ('GET /?q="a" HTTP/1.1\r\n' + CLOSE, "HTTP/1.1 400 "),
    "one length twice": (POST + "Content-Length: 3\r\n" * 2 + CLOSE + "abc", "HTTP/1.1 200 "),
    "length and chunks": (
        POST + "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n" + CLOSE + "3\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 ",
    ),
    "line feeds": ("GET / HTTP/1.1\nHost: a\nConnection: close\n\n", "HTTP/1.1 200 "),
    "space in a chunk": (POST + "Transfer-Encoding: chunked\r\n" + CLOSE + "3 \r\nabc\r\n0\r\n\r\n", "HTTP/1.1 200 "),
    "chunk extension": (
        POST + "Transfer-Encoding: chunked\r\n" + CLOSE + "3;" + "x" * 20_000 + "\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 400 ",
    ),
    "broken after the answer": (
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\nzz\r\n",
        "HTTP/1.1 200 ",
    ),
    "phrase 422": ("GET /status/422 HTTP/1.1\r\n" + CLOSE, "HTTP/1.1 422 Unprocessable Entity\r\n"),
    "phrase 413": ("GET /status/413 HTTP/1.1\r\n" + CLOSE, "HTTP/1.1 413 Payload Too Large\r\n"),
    "phrase 418": ("GET /status/418 HTTP/1.1\r\n" + CLOSE, "HTTP/1.1 418 I'm a teapot\r\n"),
    "phrase 599": ("GET /status/599 HTTP/1.1\r\n" + CLOSE, "HTTP/1.1 599 <none>\r\n"),
    "HTTP/1.0": ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "HTTP/1.0 200 OK\r\n"),
    "a value": ("GET /returns HTTP/1.1\r\n" + CLOSE, "HTTP/1.1 500 "),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("app")
    shutil.copy(Path(__file__).with_name("wire_app.py"), directory)
    with running(directory, "wire_app:app") as started:
        yield started


def ask(server: Server, request: str) -> str:
    with connect(server) as sock:
        sock.sendall(request.encode("latin-1"))
        return read(sock).decode("latin-1")


@pytest.mark.parametrize("row", ROWS)
def test_row(server: Server, row: str) -> None:
    request, start = ROWS[row]
    answer = ask(server, request)
    assert answer.startswith(start)
    if row == "broken after the answer":
        assert answer.count("HTTP/1.1") == 1


def test_an_empty_host_is_none(server: Server) -> None:
    assert '"host"' not in ask(server, "GET /seen HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")


def test_an_answer_to_connect_has_no_body(server: Server) -> None:
    answer = ask(server, "CONNECT /seen HTTP/1.1\r\n" + CLOSE)
    assert answer.startswith("HTTP/1.1 200 ") and answer.endswith("\r\n\r\n")


def test_an_answer_to_head_names_no_coding(server: Server) -> None:
    assert "transfer-encoding" not in ask(server, "HEAD /chunked HTTP/1.1\r\n" + CLOSE)
