"""The HTTP endpoints of the replay app."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from pathlib import Path

from starlette.background import BackgroundTask, BackgroundTasks
from starlette.datastructures import UploadFile
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from .journal import note

STATIC = Path(__file__).parent / "static"
marker: ContextVar[str] = ContextVar("marker", default="unset")


async def json_response(request: Request) -> Response:
    return JSONResponse({"message": "hello", "numbers": [1, 2.5, None, True], "text": "žluťoučký 馬 🐎"})


async def text(request: Request) -> Response:
    return PlainTextResponse("plain text\n")


async def html(request: Request) -> Response:
    return HTMLResponse("<!doctype html><p>č</p>")


async def empty(request: Request) -> Response:
    return Response()


async def bare(request: Request) -> Response:
    return Response(b"\x00\x01\xff", headers={"x-bare": "1"})


async def status(request: Request) -> Response:
    code = request.path_params["code"]
    return Response(b"" if code in (204, 304) else b"status body", code, headers={"x-code": str(code)})


async def any_method(request: Request) -> Response:
    body = await request.body()
    return PlainTextResponse(f"{request.method} {len(body)}")


class Methods(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("class get")

    def post(self, request: Request) -> Response:
        return PlainTextResponse("class post")


async def get_only(request: Request) -> Response:
    return PlainTextResponse("get only")


async def convertors(request: Request) -> Response:
    return PlainTextResponse(ascii({k: (type(v).__name__, str(v)) for k, v in request.path_params.items()}))


async def path_echo(request: Request) -> Response:
    scope = request.scope
    shown = (scope["path"], scope.get("raw_path"), scope["query_string"], request.path_params["rest"])
    return PlainTextResponse(ascii(shown))


async def query(request: Request) -> Response:
    return PlainTextResponse(ascii((request.scope["query_string"], request.query_params.multi_items())))


async def headers(request: Request) -> Response:
    """The request's headers in the order and bytes in which the app sees them."""
    return PlainTextResponse(ascii([pair for pair in request.scope["headers"]]))


async def duplicate_headers(request: Request) -> Response:
    response = PlainTextResponse("twice")
    response.raw_headers += [(b"x-twice", b"1"), (b"x-twice", b"2"), (b"X-Case", b"Kept")]
    response.set_cookie("first", "1", max_age=60, path="/", httponly=True)
    response.set_cookie("second", "two words", samesite="strict", secure=True)
    response.delete_cookie("gone")
    return response


async def odd_headers(request: Request) -> Response:
    response = PlainTextResponse("odd")
    response.raw_headers += [
        (b"x-latin", "café".encode("latin-1")),
        (b"x-utf8", "馬".encode()),
        (b"x-empty", b""),
        (b"x-tab", b"a\tb"),
    ]
    return response


async def cookies(request: Request) -> Response:
    return PlainTextResponse(ascii(sorted(request.cookies.items())))


async def body(request: Request) -> Response:
    received = await request.body()
    return Response(received, media_type="application/octet-stream", headers={"x-length": str(len(received))})


async def body_stream(request: Request) -> Response:
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
    return PlainTextResponse(str(total))


async def json_body(request: Request) -> Response:
    try:
        return JSONResponse({"received": await request.json()})
    except json.JSONDecodeError as error:
        return JSONResponse({"error": error.msg}, 400)


async def form(request: Request) -> Response:
    async with request.form() as data:
        shown: list[object] = []
        for name, value in data.multi_items():
            if isinstance(value, UploadFile):
                content = await value.read()
                shown.append((name, value.filename, value.content_type, content))
            else:
                shown.append((name, value))
    return PlainTextResponse(ascii(shown))


async def unread(request: Request) -> Response:
    return PlainTextResponse("body not read")


async def stream_async(request: Request) -> Response:
    async def parts() -> AsyncIterator[str]:
        for i in range(4):
            yield f"part {i}\n"
            await asyncio.sleep(0)

    return StreamingResponse(parts(), media_type="text/plain")


async def stream_sync(request: Request) -> Response:
    def parts() -> Iterator[bytes]:
        for i in range(4):
            yield f"sync part {i}\n".encode()

    return StreamingResponse(parts(), headers={"x-stream": "sync"})


async def stream_sized(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"12345"
        yield b""
        yield b"67890"

    return StreamingResponse(parts(), headers={"content-length": "10"})


async def stream_empty(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        return
        yield b""

    return StreamingResponse(parts())


async def stream_large(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for i in range(64):
            yield bytes([i]) * 32_768

    return StreamingResponse(parts(), media_type="application/octet-stream")


async def large(request: Request) -> Response:
    return Response(b"0123456789abcdef" * 65_536, media_type="application/octet-stream")


async def file(request: Request) -> Response:
    return FileResponse(STATIC / "data.bin", media_type="application/octet-stream")


async def file_named(request: Request) -> Response:
    return FileResponse(STATIC / "style.css", filename="stýl.css")


def file_def(request: Request) -> Response:
    return FileResponse(STATIC / "sub" / "file.json")


async def redirect(request: Request) -> Response:
    return RedirectResponse("/text?from=č", 302)


async def url(request: Request) -> Response:
    shown = (str(request.url), str(request.base_url), request.url.path, request.url.query, request.url.hostname)
    return PlainTextResponse(ascii(shown))


async def url_for(request: Request) -> Response:
    return PlainTextResponse(str(request.url_for("item", number=7)))


async def client(request: Request) -> Response:
    host, port = request.scope["client"]
    return PlainTextResponse(ascii((host, type(port).__name__, request.scope["scheme"])))


async def server(request: Request) -> Response:
    host, port = request.scope["server"]
    return PlainTextResponse(ascii((host, type(port).__name__)))


async def scope_values(request: Request) -> Response:
    scope = request.scope
    names = ("type", "http_version", "method", "scheme", "root_path")
    return PlainTextResponse(ascii([(name, scope.get(name, "absent")) for name in names]))


async def scope_asgi(request: Request) -> Response:
    return PlainTextResponse(ascii(sorted(request.scope["asgi"].items())))


async def scope_extensions(request: Request) -> Response:
    return PlainTextResponse(ascii(sorted(request.scope.get("extensions") or {})))


async def scope_keys(request: Request) -> Response:
    return PlainTextResponse(ascii(sorted(request.scope)))


async def scope_types(request: Request) -> Response:
    """Exact types: an app may rely on bytes not being a view, or on a header being a tuple-like pair."""
    shown = {name: type(value).__name__ for name, value in request.scope.items() if name not in ("app", "router")}
    wanted = ("path", "raw_path", "query_string", "root_path", "method", "state")
    pair = next(iter(request.scope["headers"]))
    return PlainTextResponse(ascii([(name, shown.get(name)) for name in wanted] + [len(pair), type(pair[0]).__name__]))


async def state(request: Request) -> Response:
    request.state.seen = True
    return PlainTextResponse(ascii((request.state.started, request.state.shared["kind"], request.state.seen)))


async def state_is_fresh(request: Request) -> Response:
    """A request's own state must not leak into the next one."""
    leaked = hasattr(request.state, "seen")
    request.state.seen = True
    return PlainTextResponse(str(leaked))


def sync_text(request: Request) -> Response:
    return PlainTextResponse(f"def {request.method} {request.url.path}")


def sync_item(request: Request) -> Response:
    return JSONResponse({"number": request.path_params["number"], "query": dict(request.query_params)})


def sync_error(request: Request) -> Response:
    raise RuntimeError("def failed")


def sync_http_error(request: Request) -> Response:
    raise HTTPException(409, "def conflict", headers={"x-reason": "def"})


def sync_context(request: Request) -> Response:
    before = marker.get()
    marker.set("set by an earlier request")
    return PlainTextResponse(before)


def sync_slow(request: Request) -> Response:
    time.sleep(0.02)
    return PlainTextResponse("slow")


async def error(request: Request) -> Response:
    raise RuntimeError("failed before a response")


async def http_error(request: Request) -> Response:
    raise HTTPException(request.path_params["code"], headers={"x-reason": "told", "www-authenticate": "Basic"})


async def custom_error(request: Request) -> Response:
    raise LookupError("handled by the app")


class _BrokenStream:
    """Fails at a chosen point of the response, below anything that Starlette could still repair."""

    def __init__(self, headers: list[tuple[bytes, bytes]], sent: bytes) -> None:
        self.headers = headers
        self.sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.sent, "more_body": True})
        await asyncio.sleep(0.05)
        raise RuntimeError("failed after the response began")


class NoResponse:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        return


class StartOnly:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})


class NoHeaders:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})


async def background(request: Request) -> Response:
    token = request.path_params["token"]
    tasks = BackgroundTasks()
    tasks.add_task(note, token, "def task")

    async def task() -> None:
        await asyncio.sleep(0.02)
        note(token, "async task")

    tasks.add_task(task)
    return PlainTextResponse("queued", background=tasks)


def background_def(request: Request) -> Response:
    return PlainTextResponse("queued", background=BackgroundTask(note, request.path_params["token"], "from def"))


async def short_body(request: Request) -> Response:
    token = request.path_params["token"]
    try:
        await request.body()
    except Exception as error:
        note(token, type(error).__name__)
        raise
    note(token, "whole body")
    return PlainTextResponse("whole body")


async def watch_disconnect(request: Request) -> Response:
    token = request.path_params["token"]
    for _ in range(100):
        if await request.is_disconnected():
            note(token, "disconnected")
            return PlainTextResponse("gone")
        await asyncio.sleep(0.02)
    note(token, "still there")
    return PlainTextResponse("still there")


async def endless(request: Request) -> Response:
    token = request.path_params["token"]

    async def parts() -> AsyncIterator[bytes]:
        try:
            for _ in range(250):
                yield b"tick\n" * 100
                await asyncio.sleep(0.02)
            note(token, "ran to its end")
        finally:
            note(token, "generator ended")

    return StreamingResponse(parts(), media_type="text/plain")


async def session_set(request: Request) -> Response:
    request.session["user"] = "alice"
    return PlainTextResponse("set")


async def session_get(request: Request) -> Response:
    return PlainTextResponse(ascii(dict(request.session)))


async def compressible(request: Request) -> Response:
    return PlainTextResponse("compress me " * 500)


EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"]

routes: list[BaseRoute] = [
    Route("/", text),
    Route("/json", json_response),
    Route("/text", text),
    Route("/html", html),
    Route("/empty", empty),
    Route("/bare", bare),
    Route("/status/{code:int}", status),
    Route("/any", any_method, methods=EVERY_METHOD),
    Route("/class", Methods),
    Route("/get-only", get_only),
    Route("/slashed/", get_only),
    Route("/items/{number:int}", convertors, name="item"),
    Route("/items/special", get_only),
    Route("/float/{value:float}", convertors),
    Route("/uuid/{value:uuid}", convertors),
    Route("/str/{a}/{b}", convertors),
    Route("/mixed/{name}.{ext}", convertors),
    Route("/paths/{rest:path}", path_echo),
    Route("/query", query),
    Route("/headers", headers),
    Route("/duplicate-headers", duplicate_headers),
    Route("/odd-headers", odd_headers),
    Route("/cookies", cookies),
    Route("/body", body, methods=["POST", "PUT"]),
    Route("/body-stream", body_stream, methods=["POST"]),
    Route("/json-body", json_body, methods=["POST"]),
    Route("/form", form, methods=["POST"]),
    Route("/unread", unread, methods=["POST"]),
    Route("/stream/async", stream_async),
    Route("/stream/sync", stream_sync),
    Route("/stream/sized", stream_sized),
    Route("/stream/empty", stream_empty),
    Route("/stream/large", stream_large),
    Route("/large", large),
    Route("/file", file),
    Route("/file/named", file_named),
    Route("/file/def", file_def),
    Route("/redirect", redirect),
    Route("/url", url),
    Route("/url-for", url_for),
    Route("/client", client),
    Route("/server", server),
    Route("/scope/values", scope_values),
    Route("/scope/asgi", scope_asgi),
    Route("/scope/extensions", scope_extensions),
    Route("/scope/keys", scope_keys),
    Route("/scope/types", scope_types),
    Route("/state", state),
    Route("/state/fresh", state_is_fresh),
    Route("/def/text", sync_text, methods=["GET", "POST"]),
    Route("/def/item/{number:int}", sync_item),
    Route("/def/error", sync_error),
    Route("/def/http-error", sync_http_error),
    Route("/def/context", sync_context),
    Route("/def/slow", sync_slow),
    Route("/error", error),
    Route("/http-error/{code:int}", http_error),
    Route("/custom-error", custom_error),
    Route("/broken/chunked", _BrokenStream([(b"content-type", b"text/plain")], b"begun")),
    Route("/broken/sized", _BrokenStream([(b"content-length", b"100")], b"begun")),
    Route("/no-response", NoResponse()),
    Route("/start-only", StartOnly()),
    Route("/no-headers", NoHeaders()),
    Route("/background/{token}", background),
    Route("/background-def/{token}", background_def),
    Route("/short-body/{token}", short_body, methods=["POST"]),
    Route("/watch-disconnect/{token}", watch_disconnect),
    Route("/endless/{token}", endless),
]
