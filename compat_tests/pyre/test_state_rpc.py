"""SharedState and its backends; calls in JSON and MessagePack."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from freelane.adapters.pyre import Pyre, PyreRPCClient, SharedState
from freelane.adapters.pyre.rpc import HAS_MSGPACK, pack, unpack
from freelane.adapters.pyre.state_memory import Memory
from freelane.adapters.pyre.state_server import StateServer
from freelane.adapters.pyre.testing import TestClient

pytestmark = pytest.mark.thread_unsafe(reason="one server for all of them")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis or Valkey where this machine has one, else an imitation in this process."""
    redis = pytest.importorskip("redis")
    binary = shutil.which("valkey-server") or shutil.which("redis-server")
    if binary is None:
        fakeredis = pytest.importorskip("fakeredis", reason="stands for a Redis server")
        imitation = fakeredis.FakeServer()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(redis.Redis, "from_url", lambda url: fakeredis.FakeRedis(server=imitation))
            yield "redis://imitation/0"
        return
    path = tmp_path_factory.mktemp("redis") / "socket"
    process = subprocess.Popen([binary, "--port", "0", "--unixsocket", str(path), "--save", ""], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield f"unix://{path}"
    finally:
        process.terminate()
        process.wait(120)


@pytest.fixture(scope="module")
def server() -> Iterator[StateServer]:
    server = StateServer(Memory())
    yield server
    server.close()


@pytest.fixture(params=["memory", "process", "redis"])
def state(request: pytest.FixtureRequest) -> SharedState:
    if request.param == "memory":
        return SharedState()
    if request.param == "process":
        state = SharedState(request.getfixturevalue("server").url)
    else:
        state = SharedState(request.getfixturevalue("redis_url") + "?prefix=test[*]:")
    for key in state.keys():
        state.delete(key)
    return state


def test_text_and_bytes(state: SharedState) -> None:
    state["a"] = "ä"
    state.set_bytes("b", b"\xff")
    assert (state["a"], state.get("a"), state.get_bytes("a")) == ("ä", "ä", "ä".encode())
    assert (state.get("b"), state.get_bytes("b"), state.get("c"), state.get_bytes("c")) == (None, b"\xff", None, None)
    assert (len(state), sorted(state.keys()), sorted(state), "a" in state, "c" in state) == (
        2,
        ["a", "b"],
        ["a", "b"],
        True,
        False,
    )


def test_delete(state: SharedState) -> None:
    state["a"] = "1"
    del state["a"]
    assert state.delete("a") is False
    with pytest.raises(KeyError):
        state["a"]
    with pytest.raises(KeyError):
        del state["a"]


def test_incr(state: SharedState) -> None:
    assert [state.incr("n", 1), state.incr("n", 41), state.decr("n", 2), state.incr("n")] == [1, 42, 40, 41]
    assert state["n"] == "41"


def test_incr_never_overwrites_what_is_no_number(state: SharedState) -> None:
    state["json"] = '{"a": 1}'
    with pytest.raises(TypeError, match="json"):
        state.incr("json", 1)
    assert state["json"] == '{"a": 1}'


def test_incr_beyond_64_bits(state: SharedState) -> None:
    state["n"] = str(2**63 - 1)
    with pytest.raises(OverflowError):
        state.incr("n", 1)
    assert state["n"] == str(2**63 - 1)


def test_incr_is_atomic_between_threads(state: SharedState) -> None:
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        for _ in range(100):
            state.incr("count", 1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state["count"] == "800"


def test_another_process_sees_the_same(server: StateServer) -> None:
    script = f"""
from freelane.adapters.pyre import SharedState
state = SharedState({server.url!r})
state["from-child"] = "yes"
print(state.incr("both", 5))
"""
    SharedState(server.url).incr("both", 1)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=True)
    assert (done.stdout.strip(), server.backend.get("from-child")) == ("6", b"yes")


@pytest.mark.parametrize("value", [5, None, b"x", ["a"]])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="SharedState holds text"):
        SharedState()["a"] = value


def test_unknown_url_names_the_known() -> None:
    with pytest.raises(ValueError, match="redis://"):
        SharedState("memcached://x")


# -- RPC


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = Pyre()

    @app.rpc("/rpc/add")
    def add(data: Any) -> Any:
        return {"sum": data["a"] + data["b"]}

    @app.rpc("/rpc/later")
    async def later(req: Any, data: Any) -> Any:
        return [req.method, data]

    @app.rpc("/rpc/fail")
    def fail(data: Any) -> None:
        raise ValueError("on purpose")

    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    "use_msgpack", [False, pytest.param(True, marks=pytest.mark.skipif(not HAS_MSGPACK, reason="no MessagePack here"))]
)
def test_client(client: TestClient, use_msgpack: bool) -> None:
    with PyreRPCClient(client.base_url, use_msgpack=use_msgpack) as rpc:
        assert rpc.add(a=1, b=2) == {"sum": 3}
        assert rpc.later(x=[1, None, "ä"]) == ["POST", {"x": [1, None, "ä"]}]
        with pytest.raises(RuntimeError, match="ValueError: on purpose"):
            rpc.fail()
        with pytest.raises(RuntimeError, match="404"):
            rpc.nowhere()


@pytest.mark.skipif(not HAS_MSGPACK, reason="no MessagePack here")
def test_answer_is_in_the_form_that_is_accepted(client: TestClient) -> None:
    packed = {"content-type": "application/msgpack"}
    body = pack({"a": 1, "b": 2})
    assert unpack(client.post("/rpc/add", body=body, headers=packed).body) == {"ok": True, "result": {"sum": 3}}
    as_json = client.post("/rpc/add", body=body, headers={**packed, "accept": "application/json"})
    assert as_json.json() == {"ok": True, "result": {"sum": 3}}


@pytest.mark.parametrize(("body", "kind"), [(b"{", "application/json"), (b"\xc1", "application/msgpack")])
def test_broken_call_is_an_error_envelope(client: TestClient, body: bytes, kind: str) -> None:
    response = client.post("/rpc/add", body=body, headers={"content-type": kind, "accept": "application/json"})
    assert response.json()["ok"] is False
