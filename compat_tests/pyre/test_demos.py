"""The Pyre-style demos, each end to end with real clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from compat_tests.pyre.mcp_client import mcp_session
from compat_tests.servers import running
from compat_tests.upstream.suite import ROOT
from freelane.adapters.pyre import PyreRPCClient

pytest.importorskip("pydantic")
pytestmark = pytest.mark.thread_unsafe(reason="starts servers")


@contextlib.contextmanager
def demo(name: str, directory: Path) -> Iterator[str]:
    with running(directory, f"benchmarks.apps.pyre.{name}:app", "--app-dir", str(ROOT)) as server:
        yield f"http://127.0.0.1:{server.port}"


def test_agent(tmp_path: Path) -> None:
    with demo("agent", tmp_path) as url, httpx.Client(base_url=url, timeout=120) as client:
        with client.stream("GET", "/chat/bob", params={"prompt": "gil"}) as response:
            assert response.headers["content-type"] == "text/event-stream"
            events = "".join(response.iter_text()).strip().split("\n\n")
        assert events[0] == "event: token\ndata: Free-threaded "
        assert events[-1] == 'event: done\ndata: {"tokens": 7}'
        entries = client.get("/sessions/bob").json()["entries"]
        assert [entry["role"] for entry in entries] == ["user", "assistant"]
        assert client.get("/chat/bob").json()["parameter"] == "prompt"
        assert client.get("/chat/bob", params={"prompt": " "}).status_code == 400
        assert client.get("/openapi.json").json()["info"]["title"] == "Agent"
        check_tools(url)
        assert len(client.get("/sessions/bob").json()["entries"]) == 3
        assert client.delete("/sessions/bob").status_code == 204
        assert client.get("/sessions/bob").status_code == 404


def check_tools(url: str) -> None:
    async def run() -> None:
        async with mcp_session(url) as session:
            started = await session.initialize()
            assert "remember" in (started.instructions or "")
            found = await session.call_tool("search", {"query": "asgi", "limit": 1})
            assert json.loads(found.content[0].text)[0]["name"] == "asgi"
            kept = await session.call_tool("remember", {"session": "bob", "fact": "likes cats"})
            assert kept.content[0].text == "kept, 3 entries"
            read = await session.read_resource("session://bob")
            assert "likes cats" in read.contents[0].text

    asyncio.run(asyncio.wait_for(run(), 20))


def test_data(tmp_path: Path) -> None:
    pytest.importorskip("numpy", reason="has no wheel for this interpreter")
    with demo("data", tmp_path) as url, httpx.Client(base_url=url, timeout=120) as client:
        assert client.get("/series").json() == ["ACME", "BOLT", "CORE"]
        assert client.put("/series/TINY", json={"values": [1, 2, 3, 4]}).status_code == 201
        assert client.put("/series/TINY", json={"values": ["x"]}).status_code == 422
        found = client.get("/series/TINY/summary?window=2").json()
        assert found == {"mean": 2.5, "std": pytest.approx(1.118034), "average": 3.5, "n": 4}
        assert client.get("/series/TINY/summary?window=9").status_code == 422
        assert client.get("/series/NONE/summary").json() == {"error": "no series 'NONE'"}
        matrix = client.get("/correlation?name=ACME&name=BOLT").json()["matrix"]
        assert matrix[0][0] == 1 and matrix[0][1] == matrix[1][0]
        assert client.get("/percentile/TINY/50").json() == {"value": 3}
        with connect(f"{url.replace('http', 'ws')}/ticks/TINY") as ws:
            ws.send('{"last": 2}')
            assert json.loads(ws.recv(5)) == {"name": "TINY", "values": [3.0, 4.0]}
            ws.send("nonsense")
            assert "error" in json.loads(ws.recv(5))
        with connect(f"{url.replace('http', 'ws')}/ticks/NONE") as ws, pytest.raises(ConnectionClosed) as caught:
            ws.recv(5)
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 4404
        with PyreRPCClient(url) as rpc:
            assert rpc.latest(names=["TINY"]) == {"TINY": 4.0}
            with pytest.raises(RuntimeError, match="no series"):
                rpc.latest(names=["NONE"])


def test_shop(tmp_path: Path) -> None:
    account = {"name": "alice", "password": "correct horse"}
    with demo("shop", tmp_path) as url, httpx.Client(base_url=url, timeout=120) as client:
        assert client.post("/accounts", json=account).status_code == 201
        assert client.post("/accounts", json=account).json() == {"error": "'alice' is taken"}
        assert client.post("/accounts", json={"name": "A", "password": "x"}).json()["parameter"] == "account"
        assert client.post("/items", json={"name": "Lamp", "price": 5}).status_code == 401
        assert client.post("/sessions", json={**account, "password": "wrong horse"}).status_code == 401
        entered = client.post("/sessions", json=account)
        assert len(entered.headers.get_list("set-cookie")) == 2
        made = client.post("/items", json={"name": "Lamp", "price": 5, "tags": ["home"]})
        assert (made.status_code, made.headers["location"]) == (201, "/items/1")
        assert made.headers["x-content-type-options"] == "nosniff"
        client.post("/items", json={"name": "Book", "price": 9.5})
        assert client.get("/items?per_page=1&page=2").json() == {
            "items": [{"id": 2, "owner": "alice", "name": "Book", "price": 9.5, "tags": []}],
            "total": 2,
        }
        assert client.get("/items?tag=home").json()["total"] == 1
        assert client.get("/items?page=x").status_code == 422
        assert client.patch("/items/1", json={"price": 6}).json()["price"] == 6
        assert client.patch("/items/1", json={"price": -6}).status_code == 422
        picture = b"\x89PNG" + bytes(range(256)) * 100
        put = client.put("/items/1/picture", files={"picture": ("a.png", picture, "image/png")})
        assert put.json() == {"size": len(picture)}
        assert client.get("/items/1/picture").content == picture
        assert client.put("/items/1/picture", content=b"x").status_code == 400
        with httpx.Client(base_url=url, timeout=120) as other:
            other.post("/accounts", json={**account, "name": "bob"})
            other.post("/sessions", json={**account, "name": "bob"})
            assert other.delete("/items/1").status_code == 403
        allowed = client.get("/items/1", headers={"origin": "https://shop.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
        assert client.delete("/items/1").status_code == 204
        assert client.get("/items/1/picture").status_code == 404
        assert client.delete("/sessions").status_code == 204
        assert client.post("/items", json={"name": "Lamp", "price": 5}).status_code == 401


def test_agent_notices_a_client_that_leaves(tmp_path: Path) -> None:
    import socket

    with demo("agent", tmp_path) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"GET /chat/eve?prompt=mcp HTTP/1.1\r\nhost: x\r\n\r\n")
            connection.recv(100)
        time.sleep(0.5)
        assert httpx.get(f"{url}/sessions/eve").status_code == 404
