"""Ask one contender one request, and keep the answer as it came."""

from __future__ import annotations

import http.client
import time
from dataclasses import replace
from urllib.parse import urlsplit

from freelane.bench.answer import Answer
from freelane.bench.processes import Running, connect
from freelane.bench.requests import Request
from freelane.bench.websocket import converse

TIMEOUT = 30.0
# An answer is kept whole up to here; streams of events have no end of their own.
MOST_BYTES = 64 << 20
MOST_EVENTS = 20
EVENT_SECONDS = 5.0


def ask(running: Running, request: Request) -> Answer:
    """Never raises for what the contender does: a broken connection is an answer too."""
    if request.websocket:
        return converse(running, request)
    connection = connect(running.url, timeout=TIMEOUT)
    try:
        connection.putrequest(request.method, path(running, request), skip_accept_encoding=True)
        request = request.with_header("User-Agent", "freelane-bench").with_header("Accept", "*/*")
        for name, value in request.headers:
            if name.lower() not in ("host", "content-length", "connection", "transfer-encoding"):
                connection.putheader(name, value)
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body or None)
        response = connection.getresponse()
        headers = tuple((name.lower(), value) for name, value in response.getheaders())
        answer = Answer(response.status, headers)
        return read_body(response, answer)
    except (OSError, http.client.HTTPException) as exc:
        return Answer(problem=f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__)
    finally:
        connection.close()


def path(running: Running, request: Request) -> str:
    return urlsplit(running.url).path + request.path


def read_body(response: http.client.HTTPResponse, answer: Answer) -> Answer:
    """The body, or as much of a stream of events as is told apart."""
    events = "text/event-stream" in "".join(answer.values("content-type"))
    body, deadline = bytearray(), time.monotonic() + EVENT_SECONDS
    try:
        while len(body) < MOST_BYTES and (chunk := response.read1(65536)):
            body += chunk
            if events and (body.count(b"\n\n") >= MOST_EVENTS or time.monotonic() > deadline):
                break
    except (OSError, http.client.HTTPException) as exc:
        return replace(answer, body=bytes(body), problem=f"the body broke off: {type(exc).__name__}")
    kept = bytes(body)
    if events:
        kept = b"\n\n".join(kept.split(b"\n\n")[:MOST_EVENTS])
    length = answer.values("content-length")
    if length and length[0].isdigit() and len(kept) < int(length[0]) and len(kept) < MOST_BYTES and response.length:
        return replace(answer, body=kept, problem=f"the body ended after {len(kept)} of {length[0]} bytes")
    return replace(answer, body=kept)
