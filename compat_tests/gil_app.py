"""The app of the gil lane's tests; it imports the extension that ``gil_extension`` builds."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import needsgil
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

import freelane


def gil_on() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def where(**values: Any) -> JSONResponse:
    return JSONResponse({"pid": os.getpid(), "gil": gil_on(), **values})


async def main(request: Request) -> Response:
    return where()


@freelane.gil
async def marked(request: Request) -> Response:
    return where()


async def answer(request: Request) -> Response:
    return where(answer=needsgil.answer())


def answer_def(request: Request) -> Response:
    return where(answer=needsgil.answer())


async def number(request: Request) -> Response:
    # One in so many requests ends the process, at a place that only the client knows.
    value = request.path_params["n"] + needsgil.answer() - 42
    if request.query_params.get("crash"):
        os.abort()
    return PlainTextResponse(str(value))


@freelane.gil
async def echo(request: Request) -> Response:
    return Response(await request.body(), headers={"x-got": request.headers.get("x-sent", "")})


class EchoStream:
    """Plain ASGI: Starlette's StreamingResponse reads the body's events away while it streams."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})


echo_stream = freelane.gil(EchoStream())


@freelane.gil
async def big(request: Request) -> Response:
    return Response(b"x" * int(request.query_params["size"]))


@freelane.gil
async def events(request: Request) -> Response:
    async def chunks() -> AsyncIterator[str]:
        try:
            for n in range(1000):
                yield f"data: {n}\n\n"
                await asyncio.sleep(0.02)
        finally:
            print("EVENTS ENDED", flush=True)

    return StreamingResponse(chunks(), media_type="text/event-stream")


@freelane.gil
async def waits(request: Request) -> Response:
    print("WAITS", flush=True)
    while not await request.is_disconnected():
        await asyncio.sleep(0.02)
    print("CLIENT LEFT", flush=True)
    return PlainTextResponse("")


@freelane.gil
async def half(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.sleep(0.1)
        raise ValueError("half-way")

    return StreamingResponse(chunks())


@freelane.gil
async def raises(request: Request) -> Response:
    raise ValueError("from the lane")


class Special(Exception):
    pass


@freelane.gil
async def special(request: Request) -> Response:
    raise Special


async def on_special(request: Request, exc: Exception) -> Response:
    return PlainTextResponse("handled", status_code=418)


@freelane.gil
async def background(request: Request) -> Response:
    return PlainTextResponse("now", background=BackgroundTask(print, "LATER", flush=True))


@freelane.gil
async def cookies(request: Request) -> Response:
    response = JSONResponse(
        {
            "cookies": request.cookies,
            "query": request.url.query,
            "path": request.url.path,
            "client": request.client is not None,
            "method": request.method,
            "state": request.state.started,
        }
    )
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


async def spin(request: Request) -> None:
    needsgil.spin()


async def segfault(request: Request) -> None:
    needsgil.segfault()


async def abort(request: Request) -> None:
    needsgil.answer()
    os.abort()


async def eat(request: Request) -> Response:
    needsgil.eat(1024)
    return PlainTextResponse("fed")


class Meeting:
    """The last of so many callers lets all of them go."""

    def __init__(self, event: Any) -> None:
        self.event, self.lock, self.count = event, threading.Lock(), 0

    def arrive(self, wanted: int) -> Any:
        with self.lock:
            self.count += 1
            if self.count == wanted:
                self.event.set()
        return self.event


on_loop, on_threads = Meeting(asyncio.Event()), Meeting(threading.Event())


@freelane.gil
async def meet(request: Request) -> Response:
    await on_loop.arrive(int(request.query_params["n"])).wait()
    return where()


@freelane.gil
def meet_def(request: Request) -> Response:
    on_threads.arrive(int(request.query_params["n"])).wait()
    return where()


@freelane.gil
async def sleep(request: Request) -> Response:
    await asyncio.sleep(float(request.query_params["s"]))
    return where()


@freelane.gil
def sleep_def(request: Request) -> Response:
    time.sleep(float(request.query_params["s"]))
    return where()


@freelane.gil
async def socket(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol=next(iter(websocket.scope["subprotocols"]), None))
    async for message in websocket.iter_text():
        if message == "close":
            await websocket.close(3001, "enough")
            return
        if message == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        await websocket.send_text(f"{message} {len(message)}")
    print("SOCKET CLOSED", flush=True)


@freelane.gil
async def refuses(websocket: WebSocket) -> None:
    await websocket.close()


class Stamp:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-process", str(os.getpid()).encode())]
            await send(message)

        await self.app(scope, receive, stamped)


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, int]]:
    print(f"UP {os.getpid()}", flush=True)
    yield {"started": os.getpid()}
    print(f"DOWN {os.getpid()}", flush=True)


def safe_sibling(request: Request) -> Response:
    return where()


app = Starlette(
    routes=[
        Route("/", main),
        Route("/marked", marked),
        Route("/answer", answer),
        Route("/answer-def", answer_def),
        Route("/number/{n:int}", number),
        Route("/echo", echo, methods=["POST"]),
        Route("/echo-stream", echo_stream, methods=["POST"]),
        Route("/big", big),
        Route("/events", events),
        Route("/waits", waits),
        Route("/half", half),
        Route("/raises", raises),
        Route("/special", special),
        Route("/background", background),
        Route("/cookies/{name}", cookies, methods=["GET", "DELETE", "PUT"]),
        Route("/spin", spin),
        Route("/segfault", segfault),
        Route("/abort", abort),
        Route("/eat", eat),
        Route("/meet", meet),
        Route("/meet-def", meet_def),
        Route("/sleep", sleep),
        Route("/sleep-def", sleep_def),
        Mount("/below", routes=[Route("/answer", answer), Route("/plain", safe_sibling)]),
        WebSocketRoute("/ws", socket),
        WebSocketRoute("/refuses", refuses),
    ],
    exception_handlers={Special: on_special},
    middleware=[Middleware(Stamp)],
    lifespan=lifespan,
)
