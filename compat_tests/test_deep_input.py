"""Deep and long input of every kind that a client sends, and C code that recurses over it: the answer is uvicorn's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import umsgpack

from compat_tests.gil_servers import ask
from compat_tests.servers import Server, beside_uvicorn

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = """
import ast, copy, pickle
from typing import Annotated
import umsgpack
from fastapi import Cookie, FastAPI, Form, Header, HTTPException, Query, Request, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

app = FastAPI()

class Node(BaseModel):
    name: str = ""
    child: "Node | None" = None
    children: "list[Node]" = []

def nested(depth, kind=list):
    value = kind()
    for _ in range(depth): value = [value] if kind is list else (value,)
    return value

def count(node):
    found = 0
    while node is not None: node, found = node.child, found + 1
    return found

@app.exception_handler(RecursionError)
async def too_deep(request, error): return PlainTextResponse("RecursionError", 400)
@app.exception_handler(MemoryError)
async def too_much(request, error): return PlainTextResponse("MemoryError", 400)

WORK = {
    "pickle": lambda depth: len(pickle.dumps(nested(depth))),
    "copy": lambda depth: len(copy.deepcopy(nested(depth))),
    "literal": lambda depth: len(ast.literal_eval("[" * depth + "]" * depth)),
    "equal": lambda depth: nested(depth) == nested(depth),
    "hash": lambda depth: bool(hash(nested(depth, tuple))),
    "repr": lambda depth: len(repr(nested(depth))),
    "free": lambda depth: len(nested(depth)),
    "detail": lambda depth: HTTPException(409, nested(depth)),
    "eval": lambda depth: eval("-" * depth + "1"),
    "compile": lambda depth: len(compile("(" * depth + ")" * depth, "a", "eval").co_code),
}

def work(what, depth):
    try: found = WORK[what](depth)
    except (RecursionError, MemoryError, SyntaxError) as exc: return PlainTextResponse(type(exc).__name__, 400)
    if isinstance(found, Exception): raise found
    return JSONResponse(found)

@app.post("/def/model")
def def_model(node: Node): return count(node)
@app.post("/async/model")
async def async_model(node: Node): return count(node)
@app.post("/def/model-back")
def def_back(node: Node) -> Node: return node
@app.post("/async/model-back")
async def async_back(node: Node) -> Node: return node
@app.post("/def/typed")
def def_typed(value: list[int]): return value
@app.post("/async/typed")
async def async_typed(value: list[int]): return value
@app.post("/def/form")
def def_form(a: Annotated[list[str], Form()] = []): return len(a)
@app.post("/async/form")
async def async_form(a: Annotated[list[str], Form()] = []): return len(a)
@app.post("/async/raw-form")
async def raw_form(request: Request): return sorted({len(name) for name in await request.form()})
@app.post("/def/files")
def def_files(a: list[UploadFile]): return [len(a), sum(file.size for file in a)]
@app.post("/async/files")
async def async_files(a: list[UploadFile]): return [len(a), sum(file.size for file in a)]
@app.post("/def/query")
def def_query(a: Annotated[list[int], Query()]): return len(a)
@app.post("/async/query")
async def async_query(a: Annotated[list[int], Query()]): return len(a)
@app.post("/def/headers")
def def_headers(x_a: Annotated[list[str], Header()]): return len(x_a)
@app.post("/async/cookies")
async def async_cookies(request: Request, last: Annotated[str, Cookie()]): return [len(request.cookies), last]
@app.post("/def/cookies")
def def_cookies(request: Request, last: Annotated[str, Cookie()]): return [len(request.cookies), last]
@app.post("/async/msgpack")
async def async_msgpack(request: Request): return JSONResponse(len(umsgpack.unpackb(await request.body())))
@app.post("/def/{what}/{depth}")
def on_thread(what: str, depth: int): return work(what, depth)
@app.post("/async/{what}/{depth}")
async def on_loop(what: str, depth: int): return work(what, depth)
@app.get("/")
def alive(): return "alive"
"""

JSON = "application/json"
URLENCODED = "application/x-www-form-urlencoded"
DEPTHS = (100, 9_000, 60_000)


def parts(count: int, head: str = 'form-data; name="a"; filename="f"') -> bytes:
    return f"--b\r\nContent-Disposition: {head}\r\n\r\nx\r\n".encode() * count + b"--b--\r\n"


def inside(depth: int) -> bytes:
    """A multipart body in a part of another, and so on."""
    head = b'\r\nContent-Disposition: form-data; name="a"; filename="f"\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n'
    opened = b"".join(b"--b" + (b"%d" % n if n else b"") + head % (n + 1) for n in range(depth))
    return opened + b"x" + b"".join(b"\r\n--b%s--" % (b"%d" % n if n else b"") for n in reversed(range(depth)))


MULTIPART = "multipart/form-data; boundary=b"
# name -> (path, body, headers); those that differ in depth are on both sides of a limit, and not near to it.
CASES: dict[str, tuple[str, bytes, dict[str, str]]] = {
    **{f"{what} {depth}": (f"{what}/{depth}", b"", {}) for depth in DEPTHS
       for what in ("pickle", "copy", "literal", "equal", "hash", "repr", "free", "detail", "eval", "compile")},
    **{f"{what} {depth}": (what, b'{"child":' * depth + b"null" + b"}" * depth, {"content-type": JSON})
       for depth in (100, 9_000) for what in ("model", "model-back")},
    **{f"children {depth}": ("model", b'{"children":[' * depth + b"]}" * depth, {"content-type": JSON}) for depth in (100, 9_000)},
    **{f"invalid model {depth}": ("model", b'{"child":' * depth + b"1" + b"}" * depth, {"content-type": JSON}) for depth in (50, 9_000)},
    **{f"invalid input {depth}": ("typed", b"[" * depth + b"]" * depth, {"content-type": JSON}) for depth in (50, 9_000, 60_000)},
    **{f"form of {n}": ("form", b"&".join([b"a=1"] * n), {"content-type": URLENCODED}) for n in (900, 20_000)},
    **{f"brackets {n}": ("raw-form", b"a" + b"%5Bb%5D" * n + b"=1&c" + b"[]" * n + b"=1", {"content-type": URLENCODED}) for n in (100, 20_000)},
    **{f"files of {n}": ("files", parts(n), {"content-type": MULTIPART}) for n in (100, 2_000)},
    **{f"parameters of a part {n}": ("files", parts(1, 'form-data; name="a"; filename="f"' + '; c="d"' * n), {"content-type": MULTIPART}) for n in (20, 20_000)},
    **{f"multipart in multipart {n}": ("files", inside(n), {"content-type": MULTIPART}) for n in (3, 2_000)},
    **{f"query of {n}": ("query?" + "&".join(["a=1"] * n), b"", {}) for n in (100, 5_000)},
    **{f"cookies {n}": ("cookies", b"", {"cookie": "; ".join(f"a{k}=1" for k in range(n)) + "; last=b"}) for n in (10, 3_000)},
    **{f"msgpack {depth}": ("msgpack", b"\x91" * depth + b"\x90", {}) for depth in (100, 60_000)},
    "msgpack maps": ("msgpack", b"\x81\xa1a" * 60_000 + b"\xc0", {}),
    "a list in a header": ("headers", b"", {"x-a": ", ".join(["a"] * 10_000)}),
}  # fmt: skip
ONE_WAY = {"raw-form": "async", "msgpack": "async", "headers": "def"}


def lanes(path: str) -> tuple[str, ...]:
    only = ONE_WAY.get(re.split(r"[/?]", path)[0])
    return (only,) if only else ("def", "async")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    with beside_uvicorn(tmp_path_factory, "deep_input", APP) as pair:
        yield pair


@pytest.mark.parametrize("name", CASES)
def test_same_answer(servers: tuple[Server, Server], name: str) -> None:
    path, body, headers = CASES[name]
    options: dict[str, Any] = {key.replace("-", "_"): value for key, value in headers.items()}
    for lane in lanes(path):
        expected, got = (ask(server, f"/{lane}/{path}", "POST", body, **options) for server in servers)
        assert (got.status, got.body) == (expected.status, expected.body), lane
    assert ask(servers[1], "/").body == b'"alive"'


def test_the_library_that_nests_is_the_one_that_is_asked() -> None:
    with pytest.raises(RecursionError):
        umsgpack.unpackb(b"\x91" * 60_000 + b"\x90")
