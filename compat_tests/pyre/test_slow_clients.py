"""No thread waits for a client: a body that never comes holds up nobody else."""

from __future__ import annotations

import functools
import socket
from pathlib import Path
from typing import Any

import pytest

from compat_tests.servers import running
from freelane.adapters.pyre.body_use import hook_may_ask, may_read

APP = """
from freelane.adapters.pyre import Pyre
app = Pyre()
@app.get("/body")
def body(req): return {"got": len(req.body)}
@app.post("/body")
def post(req): return {"got": len(req.body)}
@app.get("/text")
def text(req): return {"got": len(indirectly(req))}
def indirectly(req): return req.text()
@app.get("/other")
def other(req): return {"method": req.method}
"""


@pytest.mark.thread_unsafe(reason="starts a server")
@pytest.mark.parametrize("method, path", [("GET", "/body"), ("GET", "/text"), ("POST", "/body")])
def test_slow_clients_hold_up_no_thread(tmp_path: Path, method: str, path: str) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with running(tmp_path, "shop:app", "--threads", "2") as server:
        slow = []
        for _ in range(8):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
            client.sendall(f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n".encode())
            slow.append(client)
        for _ in range(8):
            assert server.get("/other").read() == b'{"method":"GET"}'
        for client in slow:
            client.sendall(b"hello")
            assert client.recv(1 << 16).endswith(b'{"got":5}')
            client.close()


def plain(req: Any) -> Any:
    return {"x": 1}


def attributes(req: Any) -> Any:
    return {"q": req.query_params, "x": req.headers.get("x"), "state": req.state}


def body(req: Any) -> Any:
    return req.body


def handed_on(req: Any) -> Any:
    return body(req)


def renamed(req: Any) -> Any:
    other = req
    return other.body


def captured(req: Any) -> Any:
    return lambda: req.body


def named(req: Any) -> Any:
    return getattr(req, "bo" + "dy")


def all_of_them(req: Any) -> Any:
    return locals()["req"].body


def any_of_them(*args: Any) -> Any:
    return args[0].body


@pytest.mark.parametrize("function, expected", [
    (plain, False), (attributes, False), (body, True), (handed_on, True), (renamed, True), (captured, True),
    (named, True), (all_of_them, True), (any_of_them, True), (functools.partial(plain), True), (functools.wraps(plain)(body), True),
])  # fmt: skip
def test_who_can_come_by_a_body_is_known(function: Any, expected: bool) -> None:
    assert may_read(function, "req") is expected
    if function is not any_of_them:
        assert hook_may_ask(function) is expected
