"""Pyre's own seven examples, unchanged, through the alias; compared with Pyre itself where its wheel installs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from benchmarks.pyre_peer import pyre_python
from benchmarks.servers import PeersMissing, free_port
from compat_tests.servers import COMMAND, started
from compat_tests.upstream import pyre

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

pytest.importorskip("pydantic")
pytest.importorskip("numpy")

# What differs from run to run: compared by its kind only.
VOLATILE = {
    "price", "bid", "ask", "volume", "timestamp", "order_id", "fill_price", "market_price", "slippage_bps", "signal",
    "confidence", "current_price", "market_value", "cost_basis", "pnl", "pnl_pct", "total_value", "total_pnl", "avg_pnl_pct",
    "sharpe_estimate", "max_position_weight", "correlation_matrix", "created_at", "user_agent",
}  # fmt: skip


@dataclass
class Call:
    method: str
    path: str
    json: Any = None
    content: bytes | None = None
    files: Any = None


def get(path: str) -> Call:
    return Call("GET", path)


def post(path: str, json: Any = None, **more: Any) -> Call:
    return Call("POST", path, json, **more)


USER = {"username": "alice", "email": "alice@example.com", "password": "secret123"}
CALLS: dict[str, list[Call]] = {
    "hello": [get("/"), get("/hello/bob"), get("/hello/b%20b"), post("/echo", content=b"text"), get("/search?q=x"), get("/html"), get("/nope")],
    "hello_subinterp": [get("/"), get("/hello/bob"), post("/echo", content=b"text"), get("/nope")],
    "sse_demo": [get("/"), get("/stream"), get("/fast")],
    "websocket_demo": [get("/"), get("/nope")],
    "ai_agent_server": [
        get("/"),
        post("/chat", {"prompt": "What is Python?", "session_id": "user1", "max_tokens": 3}),
        post("/chat", {"session_id": 5}),
        get("/stream?prompt=hello"),
        post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}),
        post("/mcp", {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "run_code", "arguments": {"code": "1+1"}}}),
        post("/mcp", {"jsonrpc": "2.0", "id": 3, "method": "resources/read", "params": {"uri": "memory://sessions"}}),
        get("/memory/user1"),
    ],
    "trading_api": [
        get("/"), get("/market/AAPL"), get("/market"),
        post("/order", {"ticker": "AAPL", "side": "buy", "quantity": 100, "price": 150.5}),
        post("/order", {"ticker": "TOOLONG", "side": "buy", "quantity": 100, "price": 150.5}),
        get("/analytics/portfolio"), get("/analytics/correlation"),
        post("/rpc/get_signals", {"tickers": ["AAPL", "TSLA"]}),
    ],
    "fullstack_api": [
        get("/"), post("/auth/register", USER), post("/auth/register", USER), post("/auth/register", {"username": "x"}),
        post("/auth/login", {"username": "alice", "password": "wrong1"}),
        post("/items", {"name": "Widget", "price": 9.99}),
        post("/auth/login", {"username": "alice", "password": "secret123"}),
        get("/auth/me"),
        post("/items", {"name": "Widget", "price": 9.99, "tags": ["new"]}),
        get("/items?page=1&per_page=10"), get("/items/1"), get("/items/9"),
        Call("PUT", "/items/1", {"price": 5}), Call("DELETE", "/items/1"),
        post("/auth/avatar", files={"avatar": ("photo.jpg", b"\xff\xd8\xff\xe0", "image/jpeg")}),
        post("/auth/logout"), get("/auth/me"),
    ],
}  # fmt: skip
SOCKETS = {"websocket_demo": ("/ws", "hello"), "trading_api": ("/ws/prices", "AAPL,TSLA")}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pyre.unpack(tmp_path_factory.mktemp("sdist")) / "examples"


# What an example does when it is run as a script, but for the port.
DRIVER = """
import sys
sys.path.insert(0, {directory!r})
import {name} as example
if hasattr(example, "init_market_data"):
    example.init_market_data()
app = example.app
"""


@contextlib.contextmanager
def serving(examples: Path, name: str, directory: Path, python: str | None) -> Iterator[str]:
    """The example on freelane, or on Pyre in ``python``."""
    port = free_port()
    source = DRIVER.format(directory=str(examples), name=name)
    driver = directory / "driver.py"
    if python is None:
        driver.write_text(source)
        command = [*COMMAND, "driver.py:app", "--alias", "pyreframework", "--port", str(port)]
        ready = " | "
    else:
        driver.write_text(source + f"app.run(host='127.0.0.1', port={port}, mode='default')\n")
        command, ready = [python, "driver.py"], "Pyre"
    with started(command, directory, port, ready) as server:
        for _ in range(100):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/", timeout=120)
                break
            if server.process.poll() is not None:
                pytest.fail(server.output())
        yield f"127.0.0.1:{port}"


def answers(address: str, name: str) -> list[tuple[int, str, Any]]:
    found: list[tuple[int, str, Any]] = []
    with httpx.Client(base_url=f"http://{address}", timeout=120) as client:
        for call in CALLS[name]:
            response = client.request(call.method, call.path, json=call.json, content=call.content, files=call.files)
            kind = response.headers["content-type"].partition(";")[0]
            body: Any = response.json() if kind == "application/json" else response.text
            found.append((response.status_code, kind, None if response.status_code == 422 else body))
    if name in SOCKETS:
        path, message = SOCKETS[name]
        with connect(f"ws://{address}{path}") as ws:
            ws.send(message)
            text = str(ws.recv(5))
            found.append((101, "", json.loads(text) if text.startswith("{") else text))
    return found


def agrees(ours: Any, theirs: Any, key: str = "") -> bool:
    """Whether ours has all that theirs has; a tool's schema may say more."""
    if key in VOLATILE:
        return type(ours) is type(theirs)
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return all(name in ours and agrees(ours[name], value, name) for name, value in theirs.items())
    if key == "active_sessions":  # the keys of a state, in no order
        return sorted(ours) == sorted(theirs)
    if isinstance(theirs, list) and isinstance(ours, list):
        return len(ours) == len(theirs) and all(agrees(a, b, key) for a, b in zip(ours, theirs))
    if isinstance(theirs, str) and isinstance(ours, str) and theirs.startswith("{") and ours != theirs:
        return agrees(json.loads(ours), json.loads(theirs), key)  # JSON in a text, with other spaces
    return bool(ours == theirs)


@pytest.mark.parametrize("name", CALLS)
def test_example(examples: Path, tmp_path: Path, name: str) -> None:
    with serving(examples, name, tmp_path, None) as address:
        ours = answers(address, name)
    assert all(status < 500 for status, _, _ in ours)
    assert [status for status, _, _ in ours][0] == 200
    try:
        python = str(pyre_python())
    except PeersMissing as exc:
        pytest.skip(f"started and answered, not compared: {exc}")
    (tmp_path / "real").mkdir()
    with serving(examples, name, tmp_path / "real", python) as address:
        theirs = answers(address, name)
    for call, one, other in zip([*CALLS[name], "websocket"], ours, theirs):
        assert one[:2] == other[:2], call
        assert agrees(one[2], other[2]), (call, one[2], other[2])


def test_rpc_client_of_the_readme(examples: Path, tmp_path: Path) -> None:
    from freelane.adapters.pyre import PyreRPCClient

    with serving(examples, "trading_api", tmp_path, None) as address, PyreRPCClient(f"http://{address}") as client:
        assert [signal["ticker"] for signal in client.get_signals(tickers=["AAPL", "TSLA"])["signals"]] == ["AAPL", "TSLA"]


def test_example_as_a_script(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its import changed, ``python example.py`` serves it."""
    port = free_port()
    monkeypatch.setenv("PYRE_PORT", str(port))
    script = tmp_path / "fullstack_api.py"
    script.write_text((examples / script.name).read_text().replace("pyreframework", "freelane.adapters.pyre"))
    with started([sys.executable, script.name], tmp_path, port, " | ") as server:
        assert httpx.get(f"http://127.0.0.1:{port}/").json()["service"] == "Pyre Full-stack API"
        assert server.stop() == 0
