"""What a person does with an application: logs in, uploads, talks over a WebSocket, reads a stream.

``Visitor`` is the client: it keeps cookies, and what it saw is compared between two servers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

# Header values that no two servers have alike, and what differs from one answer of a server to the next.
OWN = {"date", "server", "connection", "set-cookie", "etag", "content-length", "keep-alive"}
CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|[0-9a-f]{32,}|csrf\w*\W+\w+|\d+\.\d{3,}|[\d.]+ ?ms|127\.0\.0\.1:\d+"
    r"|\d{4}-\d\d-\d\d[T_ ][\d:.-]+|(?<=\"sid\":\")[\w-]+|eyJ[\w.-]+"
)


class Visitor:
    """A client with a name and a memory; ``seen`` is what it was answered."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
        self.seen: list[tuple[object, ...]] = []

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self.client.request(method, path, **options)
        headers = sorted(
            (name.lower(), CHANGING.sub("", value)) for name, value in answer.headers.multi_items() if name.lower() not in OWN
        )
        cookies = sorted(header.partition("=")[0] for header in answer.headers.get_list("set-cookie"))
        self.seen.append((method, path, answer.status_code, headers, cookies, CHANGING.sub("", answer.text)))
        return answer

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("POST", path, **options)

    def talk(self, path: str, *said: str | None, **options: Any) -> None:
        """A conversation: each of ``said`` is sent, ``None`` waits for a message; then the close is looked at."""
        heard: list[object] = []
        try:
            with connect(f"ws://127.0.0.1:{self.port}{path}", open_timeout=60, proxy=None, **options) as socket:
                heard.append(socket.subprotocol)
                for each in said:
                    if each is None:
                        heard.append(CHANGING.sub("", str(socket.recv(60))))
                    else:
                        socket.send(each)
        except ConnectionClosed as closed:
            heard.append(closed.rcvd.code if closed.rcvd else None)
        self.seen.append(("WS", path, *heard))


def forms(value: Mapping[str, str]) -> dict[str, Any]:
    return {"data": dict(value)}


def chunks() -> Iterator[bytes]:
    for number in range(20):
        yield b"part %d; " % number * 500


UPLOAD = {
    "file": ("a.txt", b"some\r\ntext" * 20_000, "text/plain"),
    "other": ("\u00fc.bin", bytes(range(256)), "application/octet-stream"),
}


def datasette(visitor: Visitor) -> None:
    visitor.get("/d/t.csv?_stream=1")
    visitor.get("/-/static/app.css")
    visitor.get("/d.json?sql=select+:p+as+p&p=1")
    visitor.post("/-/logout")


def litestar(visitor: Visitor) -> None:
    visitor.post("/upload", files=UPLOAD)
    visitor.post("/login", json={"user": "ann"})
    visitor.get("/me")
    visitor.get("/stream")
    visitor.get("/events")
    visitor.talk("/ws", "hello", None, "again", None, "bye", None)


def django(visitor: Visitor) -> None:
    visitor.post("/upload", files=UPLOAD)
    visitor.post("/login", **forms({"user": "ann"}))
    visitor.get("/me")
    visitor.get("/stream")
    visitor.post("/echo", content=chunks())


def quart(visitor: Visitor) -> None:
    visitor.post("/upload", files=UPLOAD)
    visitor.post("/login", **forms({"user": "ann"}))
    visitor.get("/me")
    visitor.get("/stream")
    visitor.talk("/ws", "hello", None, "bye", None)


def mcp(visitor: Visitor) -> None:
    accept = {"accept": "application/json, text/event-stream"}
    call = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "add", "arguments": {"a": 1, "b": 2}}}
    visitor.post("/mcp", json=call, headers=accept)
    visitor.post("/mcp", json={**call, "params": {"name": "none", "arguments": {}}}, headers=accept)
    visitor.post("/mcp", content=b"{", headers={**accept, "content-type": "application/json"})


def socketio(visitor: Visitor) -> None:
    opened = visitor.get("/socket.io/?EIO=4&transport=polling")
    sid = json.loads(opened.text[1:])["sid"]
    visitor.client.post(f"/socket.io/?EIO=4&transport=polling&sid={sid}", content=b"40")
    told = visitor.client.get(f"/socket.io/?EIO=4&transport=polling&sid={sid}")
    visitor.seen.append((told.status_code, CHANGING.sub("", told.text)))
    visitor.talk("/socket.io/?EIO=4&transport=websocket", None, "40", None, '420["shout","hello"]', None, None)


def strawberry(visitor: Visitor) -> None:
    subscribe = json.dumps({"id": "1", "type": "subscribe", "payload": {"query": "subscription { count(to: 3) }"}})
    visitor.talk("/graphql", '{"type": "connection_init"}', None, subscribe, *[None] * 4, subprotocols=["graphql-transport-ws"])
    visitor.post("/graphql", json={"query": 'mutation { name(text: "\u00fc") }'})


def ariadne(visitor: Visitor) -> None:
    start = json.dumps({"id": "1", "type": "start", "payload": {"query": "subscription { count }"}})
    visitor.talk("/", '{"type": "connection_init"}', None, start, *[None] * 4, subprotocols=["graphql-ws"])


def fastapi_users(visitor: Visitor) -> None:
    person = {"email": "ann@example.com", "password": "a long one"}
    visitor.post("/register", json=person)
    visitor.post("/register", json=person)
    visitor.post("/login", **forms({"username": person["email"], "password": "wrong"}))
    token = visitor.post("/login", **forms({"username": person["email"], "password": person["password"]})).json()[
        "access_token"
    ]
    visitor.get("/me", headers={"authorization": f"Bearer {token}"})
    visitor.post("/logout", headers={"authorization": f"Bearer {token}"})


def sqladmin(visitor: Visitor) -> None:
    visitor.get("/admin/thing/list")
    visitor.post("/admin/login", **forms({"username": "ann", "password": "wrong"}))
    visitor.post("/admin/login", **forms({"username": "ann", "password": "right"}))
    visitor.get("/admin/thing/list")
    visitor.post("/admin/thing/create", files={"name": (None, "first")})
    visitor.get("/admin/thing/details/1")
    visitor.get("/admin/thing/export/csv")
    visitor.get("/admin/logout")
    visitor.get("/admin/thing/list")


def starlette_admin(visitor: Visitor) -> None:
    page = visitor.client.get("/admin/thing/create").text
    found = re.search(r'name="csrftoken"[^>]*value="([^"]+)"', page)
    visitor.post("/admin/thing/create", **forms({"name": "first"}))
    visitor.post("/admin/thing/create", **forms({"name": "first", "csrftoken": found[1] if found else ""}))
    visitor.seen.append(("made", "first" in visitor.client.get("/admin/thing/list").text))


WALKS: dict[str, Callable[[Visitor], None]] = {
    "datasette": datasette, "litestar": litestar, "django": django, "quart": quart, "mcp": mcp, "socketio": socketio,
    "strawberry": strawberry, "ariadne": ariadne, "fastapi-users": fastapi_users, "sqladmin": sqladmin,
    "starlette-admin": starlette_admin,
}  # fmt: skip
