"""An ASGI app whose answers are odd in one way each, by path; it has no routes that a server could read."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Pairs = list[tuple[bytes, bytes]]

HEADERS: dict[str, Pairs] = {
    "/one-length": [(b"content-length", b"5")],
    "/same-lengths": [(b"content-length", b"5")] * 2,
    "/two-lengths": [(b"content-length", b"0"), (b"content-length", b"5")],
    "/shorter": [(b"content-length", b"10")],
    "/longer": [(b"content-length", b"3")],
    "/no-number": [(b"content-length", b"abc")],
    "/negative": [(b"content-length", b"-5")],
    "/chunked": [(b"transfer-encoding", b"chunked")],
    "/chunked-and-length": [(b"transfer-encoding", b"chunked"), (b"content-length", b"5")],
    "/length-and-chunked": [(b"content-length", b"5"), (b"Transfer-Encoding", b"Chunked")],
    "/identity": [(b"transfer-encoding", b"identity"), (b"content-length", b"5")],
    "/line-break": [(b"x-a", b"a\r\nb: c")],
    "/bad-name": [(b"x a", b"1")],
    "/no-name": [(b"", b"1")],
    "/long-name": [(b"x" * 70_000, b"1")],
    "/latin": [(b"content-disposition", 'attachment; filename="Müller.pdf"'.encode("latin-1"))],
    "/location": [(b"location", "/caf\u00e9?a=%20".encode("latin-1"))],
    "/many": [(b"x-%d" % n, b"1") for n in range(40_000)],
    "/many-of-one": [(b"set-cookie", b"a=1")] * 40_000,
}
STATUSES: dict[str, Any] = {"text": "200", "none": None, "float": 200.0, "bool": True, "huge": 2**70}
# How many pieces of `/big` were made, by its query.
made: dict[bytes, int] = {}


async def seen(scope: MutableMapping[str, Any]) -> bytes:
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    told = {key: scope[key] for key in ("method", "path", "client", "http_version")}
    raw = {key: scope[key].decode("latin-1") for key in ("raw_path", "query_string")}
    return json.dumps({"headers": headers, **told, **raw}).encode()


async def body_of(receive: Any) -> bytes:
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            print("the app was told", message["type"], flush=True)
            return b"left"
        size += len(message["body"])
        if not message["more_body"]:
            return b"%d" % size


async def app(scope: MutableMapping[str, Any], receive: Any, send: Send) -> Any:
    if scope["type"] == "websocket":
        name = bytes.fromhex(scope["path"].removeprefix("/subprotocol/")).decode()
        await send({"type": "websocket.accept", "subprotocol": name})
        return
    if scope["type"] != "http":
        raise NotImplementedError

    async def start(status: Any = 200, headers: Iterable[Any] = ()) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *headers]})

    async def whole(body: bytes, status: Any = 200, headers: Iterable[Any] = ()) -> None:
        await start(status, headers)
        await send({"type": "http.response.body", "body": body})

    path: str = scope["path"]
    if path in HEADERS:
        await whole(b"hello", headers=HEADERS[path])
    elif path.startswith("/status/"):
        name = path.removeprefix("/status/")
        await whole(b"" if name in ("204", "304") else b"hello", STATUSES[name] if name in STATUSES else int(name))
    elif path == "/again":
        try:
            await start(1000)
        except RuntimeError:
            await whole(b"again")
    elif path == "/no-body-allowed":
        await whole(b"hello", 204)
    elif path == "/returns":
        return 1
    elif path == "/none":
        await start()
        await send({"type": "http.response.body", "body": None})
    elif path == "/cut":
        await start()
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("in the middle")
    elif path == "/cut-at-start":
        await start()
        raise RuntimeError("after the start")
    elif path == "/big":
        made[scope["query_string"]] = 0
        await start()
        for _ in range(150):
            made[scope["query_string"]] += 1
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    elif path == "/made":
        await whole(b"%d" % made[scope["query_string"]])
    elif path == "/body":
        await whole(await body_of(receive))
    elif path == "/seen":
        await whole(await seen(scope))
    else:
        await whole(b"ok")
