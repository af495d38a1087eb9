"""A WebSocket conversation with a contender, as an answer that can be compared."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from freelane.bench.answer import Answer
from freelane.bench.processes import Running
from freelane.bench.requests import Request
from freelane.errors import ConfigError

TIMEOUT = 10.0


def converse(running: Running, request: Request) -> Answer:
    """Say and await what the request's messages tell; how it was closed is the last message.

    Raises ConfigError where the ``websockets`` package is missing.
    """
    try:
        from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
        from websockets.sync.client import connect
    except ImportError:
        raise ConfigError("WebSocket conversations need websockets: pip install 'freelane[bench]'") from None
    parts = urlsplit(running.url)
    url = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{parts.path}{request.path}"
    heard: list[str] = []
    subprotocols = [value for name, value in request.headers if name.lower() == "sec-websocket-protocol"]
    others = [(name, value) for name, value in request.headers if name.lower() != "sec-websocket-protocol"]
    names: list[Any] = [word.strip() for value in subprotocols for word in value.split(",")]
    try:
        with connect(
            url, additional_headers=others, subprotocols=names or None, open_timeout=TIMEOUT, close_timeout=TIMEOUT,
            compression=None, proxy=None,
        ) as socket:  # fmt: skip
            response = socket.response
            headers = tuple((name.lower(), value) for name, value in (response.headers.raw_items() if response else ()))
            try:
                for step in request.messages or ():
                    if step.startswith(">"):
                        socket.send(step[1:].lstrip())
                    else:
                        message = socket.recv(TIMEOUT)
                        heard.append(f"text {message}" if isinstance(message, str) else f"bytes {message.hex()}")
                socket.close()
            except TimeoutError:
                heard.append(f"nothing within {TIMEOUT:g} s")
            except ConnectionClosed:
                heard.append(f"closed {socket.close_code} {socket.close_reason or ''}".rstrip())
            return Answer(101, headers, messages=tuple(heard))
    except InvalidStatus as exc:
        headers = tuple((name.lower(), value) for name, value in exc.response.headers.raw_items())
        return Answer(exc.response.status_code, headers, bytes(exc.response.body or b""), messages=())
    except (OSError, WebSocketException) as exc:
        return Answer(problem=f"{type(exc).__name__}: {exc}", messages=tuple(heard))
