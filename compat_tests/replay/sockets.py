"""The WebSocket endpoints of the replay app."""

from __future__ import annotations

import asyncio
import json

from starlette.endpoints import WebSocketEndpoint
from starlette.exceptions import HTTPException, WebSocketException
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from .journal import note


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") is not None:
            await websocket.send_text(message["text"])
        else:
            await websocket.send_bytes(message["bytes"])


async def json_echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json({"received": await websocket.receive_json()})
    await websocket.send_json({"mode": "binary"}, mode="binary")
    await websocket.close()


async def subprotocol(websocket: WebSocket) -> None:
    offered = list(websocket.scope["subprotocols"])
    await websocket.accept(subprotocol=offered[-1] if offered else None)
    await websocket.send_text(ascii(offered))
    await websocket.close()


async def accept_headers(websocket: WebSocket) -> None:
    await websocket.accept(headers=[(b"x-accepted", b"yes"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")])
    await websocket.close()


async def close(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close(websocket.path_params["code"], websocket.query_params.get("reason"))


async def deny(websocket: WebSocket) -> None:
    await websocket.close(4403, "not today")


async def deny_response(websocket: WebSocket) -> None:
    answer = JSONResponse({"denied": True}, 401, headers={"www-authenticate": "Bearer", "x-why": "denied"})
    await websocket.send_denial_response(answer)


async def http_exception(websocket: WebSocket) -> None:
    raise HTTPException(418, "no coffee", headers={"x-pot": "tea"})


async def websocket_exception(websocket: WebSocket) -> None:
    await websocket.accept()
    raise WebSocketException(4009, "told by an exception")


async def fail_early(websocket: WebSocket) -> None:
    raise RuntimeError("failed before accept")


async def fail_late(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("accepted")
    raise RuntimeError("failed after accept")


async def return_early(websocket: WebSocket) -> None:
    return


async def return_late(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("bye")


async def watch(websocket: WebSocket) -> None:
    """Notes how the connection ended, as the app sees it."""
    token = websocket.path_params["token"]
    await websocket.accept()
    try:
        while True:
            note(token, f"text {await websocket.receive_text()}")
    except WebSocketDisconnect as gone:
        note(token, ascii(("disconnect", int(gone.code), gone.reason)))


async def send_to_the_gone(websocket: WebSocket) -> None:
    token = websocket.path_params["token"]
    await websocket.accept()
    try:
        for _ in range(100):
            await websocket.send_text("x" * 1000)
            await asyncio.sleep(0.02)
        note(token, "never told")
    except WebSocketDisconnect as gone:
        note(token, type(gone).__name__)


async def scope(websocket: WebSocket) -> None:
    await websocket.accept()
    names = ("type", "http_version", "scheme", "path", "root_path", "subprotocols")
    shown = [(name, websocket.scope.get(name, "absent")) for name in names]
    shown += [("raw_path", websocket.scope.get("raw_path")), ("query", websocket.scope["query_string"])]
    await websocket.send_text(ascii(shown))
    await websocket.close()


async def headers(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(ascii(list(websocket.scope["headers"])))
    await websocket.close()


async def keys(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(ascii((sorted(websocket.scope), sorted(websocket.scope.get("extensions") or {}))))
    await websocket.close()


async def state(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(json.dumps([websocket.state.started, str(websocket.url), websocket.cookies]))
    await websocket.close()


async def push(websocket: WebSocket) -> None:
    await websocket.accept()
    for i in range(3):
        await websocket.send_text(f"push {i}")
        await websocket.send_bytes(bytes([i]) * 200)
    await websocket.send_text("")
    await websocket.send_text("y" * 70_000)
    await websocket.close(1001, "going")


class Endpoint(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(f"class {data}")


routes: list[BaseRoute] = [
    WebSocketRoute("/ws/echo", echo),
    WebSocketRoute("/ws/json", json_echo),
    WebSocketRoute("/ws/subprotocol", subprotocol),
    WebSocketRoute("/ws/accept-headers", accept_headers),
    WebSocketRoute("/ws/close/{code:int}", close),
    WebSocketRoute("/ws/deny", deny),
    WebSocketRoute("/ws/deny-response", deny_response),
    WebSocketRoute("/ws/http-exception", http_exception),
    WebSocketRoute("/ws/websocket-exception", websocket_exception),
    WebSocketRoute("/ws/fail-early", fail_early),
    WebSocketRoute("/ws/fail-late", fail_late),
    WebSocketRoute("/ws/return-early", return_early),
    WebSocketRoute("/ws/return-late", return_late),
    WebSocketRoute("/ws/watch/{token}", watch),
    WebSocketRoute("/ws/send-to-the-gone/{token}", send_to_the_gone),
    WebSocketRoute("/ws/scope", scope),
    WebSocketRoute("/ws/scope/{rest:path}", scope),
    WebSocketRoute("/ws/headers", headers),
    WebSocketRoute("/ws/keys", keys),
    WebSocketRoute("/ws/state", state),
    WebSocketRoute("/ws/push", push),
    WebSocketRoute("/ws/class", Endpoint),
]
