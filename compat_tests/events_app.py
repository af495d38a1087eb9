"""An app that sends the events it is asked to send (test_fuzzed_events.py)."""

from __future__ import annotations

import ast
from typing import Any


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if not body:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"alive"})
        return
    goes_on, events = ast.literal_eval(body.decode())
    for event in events:
        try:
            await send(event)
        except Exception:
            if not goes_on:
                raise
