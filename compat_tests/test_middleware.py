"""Starlette's own middleware, compiled: every answer is the one that the app itself gives."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from compat_tests.scheduled import WAIT_SECONDS, Server

pytestmark = pytest.mark.thread_unsafe(reason="each test has a loop and its threads")


async def small(request: Request) -> Response:
    return JSONResponse({"host": request.headers.get("host")})


async def large(request: Request) -> Response:
    return PlainTextResponse("x" * 2000)


async def huge(request: Request) -> Response:
    return PlainTextResponse("x" * 200_000)


async def image(request: Request) -> Response:
    return Response(b"x" * 2000, media_type="image/png")


async def encoded(request: Request) -> Response:
    return Response(b"x" * 2000, headers={"content-encoding": "br"})


async def part(request: Request) -> Response:
    return Response(b"x" * 2000, status_code=206)


async def varied(request: Request) -> Response:
    return PlainTextResponse("y" * 700, headers={"Vary": "Cookie", "Access-Control-Allow-Origin": "https://own.example"})


async def empty(request: Request) -> Response:
    return Response(status_code=204)


async def stream(request: Request) -> Response:
    return StreamingResponse(iter([b"one", b"two" * 400]))


async def refused(request: Request) -> Response:
    raise HTTPException(418, "no", headers={"x-why": "tea"})


async def failing(request: Request) -> Response:
    raise ValueError("boom")


async def handled(request: Request) -> Response:
    raise KeyError("handled")


async def background(request: Request) -> Response:
    return PlainTextResponse("later", background=BackgroundTask(lambda: None))


async def posted(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


def in_thread(request: Request) -> Response:
    return PlainTextResponse("z" * 900, headers={"x-path": request.url.path})


ENDPOINTS = (small, large, huge, image, encoded, part, varied, empty, stream, refused, failing, handled, background, in_thread)
ROUTES = (*(f"/{endpoint.__name__}" for endpoint in ENDPOINTS), "/nowhere")


async def on_key_error(request: Request, exc: Exception) -> Response:
    return PlainTextResponse("a key" * 200, 400)


def make(*middleware: Middleware, kind: type[Starlette] = Starlette) -> Starlette:
    routes = [Route(f"/{endpoint.__name__}", endpoint) for endpoint in ENDPOINTS]
    routes.append(Route("/posted", posted, methods=["POST", "OPTIONS"]))
    return kind(routes=routes, middleware=list(middleware), exception_handlers={KeyError: on_key_error})


CORS: dict[str, Any] = {
    "closed": {},
    "listed": {"allow_origins": ["https://a.example", "https://b.example"], "expose_headers": ["x-path"]},
    "everyone": {"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"]},
    "credentials": {"allow_origins": ["*"], "allow_credentials": True},
    "regex": {"allow_origin_regex": r"https://[ab]\.example", "allow_credentials": True, "max_age": 5},
}
STACKS: dict[str, tuple[Middleware, ...]] = {
    **{f"cors {name}": (Middleware(CORSMiddleware, **options),) for name, options in CORS.items()},
    "gzip": (Middleware(GZipMiddleware),),
    "gzip of everything": (Middleware(GZipMiddleware, minimum_size=0, compresslevel=1),),
    "hosts": (Middleware(TrustedHostMiddleware, allowed_hosts=["a.example", "*.b.example", "www.c.example"]),),
    "any host": (Middleware(TrustedHostMiddleware, allowed_hosts=["*"]),),
    "https": (Middleware(HTTPSRedirectMiddleware),),
    "cors, gzip": (Middleware(CORSMiddleware, **CORS["listed"]), Middleware(GZipMiddleware)),
    "gzip, cors, hosts": (
        Middleware(GZipMiddleware, minimum_size=800),
        Middleware(CORSMiddleware, **CORS["everyone"]),
        Middleware(TrustedHostMiddleware, allowed_hosts=["a.example"]),
    ),
}
HEADERS: list[list[tuple[bytes, bytes]]] = [
    [(b"host", b"a.example")],
    [(b"host", b"x.b.example:8000"), (b"accept-encoding", b"gzip, br")],
    [(b"host", b"c.example"), (b"origin", b"https://a.example"), (b"accept-encoding", b"br")],
    [(b"host", b"A.example"), (b"origin", b"https://evil.example"), (b"accept-encoding", b"gzip")],
    [(b"host", b"a.example"), (b"origin", b"https://a.example"), (b"cookie", b"a=b")],
    [(b"host", b"a.example"), (b"origin", b"https://b.example"), (b"access-control-request-method", b"POST")],
]


class Pair:
    """The same app twice: as freelane serves it, and as it serves itself."""

    def __init__(self, make: Callable[[], Any]) -> None:
        inner = make()

        async def itself(scope: Any, receive: Any, send: Any) -> None:
            await inner(scope, receive, send)

        self.ours = Server(make())
        self.theirs = Server(itself)

    def ask(self, method: str, path: str, headers: Any = (), content: bytes = b"") -> None:
        answers = [server.ask(method, path, headers, content) for server in (self.ours, self.theirs)]
        ours, theirs = ((answer.status, answer.headers, answer.body) for answer in answers)
        assert ours == theirs, (method, path, headers)
        # What is raised behind an answer comes after it.
        deadline = time.monotonic() + WAIT_SECONDS
        while len(self.ours.errors) != len(self.theirs.errors) and time.monotonic() < deadline:
            time.sleep(0.002)
        failures = [[type(error) for error in server.errors] for server in (self.ours, self.theirs)]
        assert failures[0] == failures[1]

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def pair() -> Iterator[Callable[[Callable[[], Any]], Pair]]:
    pairs: list[Pair] = []

    def make(app: Callable[[], Any]) -> Pair:
        pairs.append(Pair(app))
        return pairs[-1]

    yield make
    for made in pairs:
        made.close()


@pytest.mark.parametrize("stack, kind", [*((stack, Starlette) for stack in STACKS), ("gzip, cors, hosts", FastAPI)])
def test_answers_are_the_apps_own(pair: Any, stack: str, kind: type[Starlette]) -> None:
    both = pair(lambda: make(*STACKS[stack], kind=kind))
    assert both.ours.adapted.direct
    for path, headers in itertools.product(ROUTES, HEADERS):
        both.ask("GET", path, headers)
    for headers in HEADERS:
        both.ask("HEAD", "/large", headers)
        both.ask("OPTIONS", "/small", headers)
        both.ask("OPTIONS", "/posted", headers)
        both.ask("POST", "/posted", headers, b"content")


def test_def_endpoints_stay_on_their_thread_behind_layers(pair: Any) -> None:
    both = pair(lambda: make(*STACKS["gzip, cors, hosts"]))
    both.ask("GET", "/in_thread", HEADERS[4])
    both.ask("GET", "/in_thread", HEADERS[3])
    assert both.ours.lane.posted == 0


@pytest.mark.parametrize("origins", [["https://b.example"], ["https://a.example", "https://b.example"], []])
def test_a_list_of_origins_that_changes_is_in_force_at_once(pair: Any, origins: list[str]) -> None:
    lists: list[list[str]] = []

    def app() -> Starlette:
        lists.append(["https://a.example"])
        return make(Middleware(CORSMiddleware, allow_origins=lists[-1]))

    both = pair(app)
    for headers in HEADERS:
        both.ask("GET", "/small", headers)
    for own in lists:
        own[:] = origins
    for headers in HEADERS:
        both.ask("GET", "/small", headers)


@pytest.mark.parametrize(
    "kind, name", [(CORSMiddleware, "send"), (CORSMiddleware, "is_allowed_origin"), (GZipMiddleware, "__call__")]
)
def test_a_method_that_a_tool_replaces_is_called(pair: Any, monkeypatch: pytest.MonkeyPatch, kind: Any, name: str) -> None:
    both = pair(lambda: make(*STACKS["cors, gzip"]))
    both.ask("GET", "/small", HEADERS[2])
    calls: list[str] = []
    original = getattr(kind, name)

    def replaced(*args: Any, **options: Any) -> Any:
        calls.append(name)
        return original(*args, **options)

    monkeypatch.setattr(kind, name, replaced)
    both.theirs.ask("GET", "/small", HEADERS[2])
    expected = calls.copy()
    both.ours.ask("GET", "/small", HEADERS[2])
    assert expected and calls == 2 * expected


class OwnCORS(CORSMiddleware):
    async def send(self, message: Any, send: Any, request_headers: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"].append((b"x-own", b"1"))
        await super().send(message, send, request_headers)


def test_a_subclass_is_left_as_it_is(pair: Any) -> None:
    both = pair(lambda: make(Middleware(OwnCORS)))
    assert not both.ours.adapted.direct
    both.ask("GET", "/small", HEADERS[2])
