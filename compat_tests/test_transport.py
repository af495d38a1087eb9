"""The default transport loses nothing that a client or an app sends; bodies keep their short way on it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from compat_tests.servers import Server, running
from freelane.adapters.pyre import Pyre
from freelane.adapters.registry import rsgi_obstacle

pytestmark = pytest.mark.thread_unsafe(reason="one server answers case by case")

APP = """
import threading
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    name: str


def where():
    return threading.current_thread() is not threading.main_thread()


@app.post("/def")
def item_def(item: Item):
    return {"name": len(item.name), "thread": where()}


@app.post("/async")
async def item_async(item: Item):
    return {"name": len(item.name), "thread": where()}


@app.post("/raw")
async def raw(request: Request):
    return len(await request.body())


@app.get("/seen")
async def seen(request: Request):
    pairs = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw]
    return {"headers": pairs, "client": request.client.host, "query": request.url.query}


@app.get("/named")
def named():
    return Response("x", headers={"content-disposition": 'attachment; filename="M\u00fcller.pdf"'})
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("app")
    Path(directory, "app.py").write_text(APP)
    with running(directory, "app:app", "--gil-auto", "off") as started:
        yield started


def exchange(server: Server, *pieces: bytes) -> tuple[int, bytes]:
    """The answer to a request that is sent piece by piece."""
    with socket.create_connection(("127.0.0.1", server.port), 60) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece)
            # The server has read it before the next one is sent.
            assert http_get(server, "/named")[0] == 200
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        return answer.status, answer.read()


def http_get(server: Server, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    answer = server.get(path)
    return answer.status, answer.headers, answer.read()


def head(path: str, length: int, *more: bytes) -> bytes:
    lines = [b"POST %s HTTP/1.1" % path.encode(), b"Host: a", b"Content-Type: application/json", b"Content-Length: %d" % length]
    return b"\r\n".join([*lines, *more, b"", b""])


def test_headers_that_are_not_ascii_come_and_go_as_they_are(server: Server) -> None:
    server.wait_for("transport asgi")
    raw = b"GET /seen HTTP/1.1\r\nHost: a\r\nCookie: n=M\xfcller\r\nX-Two: a\r\nX-Two: \xe9\r\nConnection: close\r\n\r\n"
    status, body = exchange(server, raw)
    assert status == 200
    assert json.loads(body)["headers"][1:4] == [["cookie", "n=M\xfcller"], ["x-two", "a"], ["x-two", "\xe9"]]
    assert http_get(server, "/named")[1]["content-disposition"] == 'attachment; filename="M\xfcller.pdf"'


BODY = b'{"name": "' + b"x" * 300_000 + b'"}'


@pytest.mark.parametrize("path", ["/def", "/async"])
@pytest.mark.parametrize("cuts", [(), (1,), (5, 11, 100_000), (len(BODY) - 1,)], ids=str)
def test_a_body_in_pieces_is_whole(server: Server, path: str, cuts: tuple[int, ...]) -> None:
    places = [0, *cuts, len(BODY)]
    pieces = [BODY[start:end] for start, end in zip(places, places[1:])]
    status, body = exchange(server, head(path, len(BODY)), *pieces)
    assert (status, json.loads(body)) == (200, {"name": 300_000, "thread": path == "/def"})


@pytest.mark.parametrize("path", ["/def", "/async"])
def test_a_body_in_chunks_is_whole(server: Server, path: str) -> None:
    first = head(path, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    status, body = exchange(server, first, b'9\r\n{"name":"\r\n', b'3\r\na"}\r\n0\r\nX-Trailer: 1\r\n\r\n')
    assert (status, json.loads(body)["name"]) == (200, 1)


@pytest.mark.parametrize("path", ["/def", "/async"])
def test_a_body_that_is_empty_or_no_json(server: Server, path: str) -> None:
    assert exchange(server, head(path, 0))[0] == 422
    assert exchange(server, head(path, 5), b"{nope")[0] == 422


@pytest.mark.parametrize("path", ["/def", "/async", "/raw"])
def test_a_client_that_leaves_in_mid_body_harms_nobody(server: Server, path: str) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port), 60) as sock:
            sock.sendall(head(path, 100) + b'{"na')
    assert exchange(server, head(path, 14), b'{"name": "ab"}')[0] == 200


@pytest.mark.parametrize("path", ["/def", "/async", "/raw"])
def test_a_connection_is_used_again_after_a_body(server: Server, path: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 60) as sock:
        for _ in range(20):
            sock.sendall(head(path, 14) + b'{"name": "ab"}')
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            assert (answer.status, bool(answer.read())) == (200, True)


async def asgi(scope: object, receive: object, send: object) -> None: ...


def test_rsgi_is_for_apps_that_lose_nothing_by_it() -> None:
    assert rsgi_obstacle(Pyre()) == ""
    for app in (Starlette(), FastAPI(), asgi, Starlette(routes=[Route("/", asgi), Mount("/in", asgi)])):
        assert "header" in rsgi_obstacle(app)
    app = Pyre()
    app.mount("/in", FastAPI())
    assert "/in" in rsgi_obstacle(app)


@pytest.mark.parametrize(("trusted", "client"), [("*", "10.1.2.3"), ("127.0.0.1", None)])
def test_a_proxy_on_a_unix_socket_is_trusted_by_the_star_alone(tmp_path: Path, trusted: str, client: str | None) -> None:
    (tmp_path / "app.py").write_text(APP.replace("request.client.host", "request.client and request.client.host"))
    path = str(tmp_path / "socket")
    headers = {"x-forwarded-for": "10.1.2.3", "x-forwarded-proto": "https"}
    with running(tmp_path, "app:app", "--forwarded-allow-ips", trusted, "--gil-auto", "off", uds=path):
        with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as proxy:
            assert proxy.get("http://a/seen", headers=headers).json()["client"] == client
