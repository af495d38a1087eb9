"""No depth of what a client sends or an app makes ends the server: an error is what the app sees, as under uvicorn."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from compat_tests.gil_servers import ask
from compat_tests.servers import Server, beside_uvicorn

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = """
import ctypes, sys, threading
from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
import freelane

app = FastAPI()

class Deep:
    def __init__(self, depth): self.depth = depth
    def __repr__(self): return repr(Deep(self.depth - 1)) if self.depth else "end"

def recurse(depth): return depth and 1 + recurse(depth - 1)

def nested(kind, depth):
    value = kind()
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value

def stack_bytes():
    libc = ctypes.CDLL(None)
    libc.pthread_self.restype = ctypes.c_ulong
    attributes, address, size = (ctypes.c_char * 256)(), ctypes.c_void_p(), ctypes.c_size_t()
    assert libc.pthread_getattr_np(ctypes.c_ulong(libc.pthread_self()), attributes) == 0
    assert libc.pthread_attr_getstack(attributes, ctypes.byref(address), ctypes.byref(size)) == 0
    return size.value

def work(what, depth, value):
    try:
        if what == "stack": return PlainTextResponse(str(stack_bytes()))
        if what == "echo": return JSONResponse(value)
        if what == "list": return JSONResponse(nested(list, depth))
        if what == "dict": return JSONResponse(nested(dict, depth))
        if what == "plain": return nested(list, depth)
        if what == "repr": return PlainTextResponse(repr(Deep(depth)))
        sys.setrecursionlimit(200_000)
        return PlainTextResponse(str(recurse(depth)))
    except RecursionError:
        return PlainTextResponse("RecursionError", 400)

@app.post("/def/{what}/{depth}")
def on_thread(what: str, depth: int, value = Body(None)): return work(what, depth, value)
@app.post("/async/{what}/{depth}")
async def on_loop(what: str, depth: int, value = Body(None)): return work(what, depth, value)
@app.post("/gil/{what}/{depth}")
@freelane.gil
def in_lane(what: str, depth: int, value = Body(None)): return work(what, depth, value)
@app.get("/")
def alive(): return "alive"
"""

# On both sides of what a stack of 8 MiB holds, and not near to it: each server has frames of its own.
CASES = [
    *(("echo", depth) for depth in (900, 9_000, 20_000, 200_000)),
    *((what, depth) for what in ("list", "dict", "plain") for depth in (900, 9_000, 200_000)),
    ("repr", 100),
    ("repr", 200_000),
    ("recursion", 900),
    ("recursion", 50_000),
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    with beside_uvicorn(tmp_path_factory, "deep", APP) as pair:
        yield pair


@pytest.mark.parametrize("lane", ["def", "async", "gil"])
@pytest.mark.parametrize(("what", "depth"), CASES)
def test_deep_values_and_code(servers: tuple[Server, Server], lane: str, what: str, depth: int) -> None:
    body = b"[" * depth + b"]" * depth if what == "echo" else None
    path = f"/{lane}/{what}/{depth}"
    expected, got = (ask(server, path, "POST", body, content_type="application/json") for server in servers)
    assert (got.status, got.body) == (expected.status, expected.body)
    assert ask(servers[1], "/").body == b'"alive"'


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc for the size of a stack")
def test_a_servers_threads_have_the_stacks_of_pythons(servers: tuple[Server, Server]) -> None:
    for lane in ("def", "async", "gil"):
        expected, got = (int(ask(server, f"/{lane}/stack/0", "POST").body) for server in servers)
        assert got >= min(expected, 8 << 20) - (64 << 10), lane
