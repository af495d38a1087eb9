"""What is added to each response as it starts, and what is logged of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from freelane.fastcore.asgi import http
from freelane.gil_lane import gil_watch
from freelane.server import logs
from freelane.server.access_lines import own_way
from freelane.settings import Settings

if TYPE_CHECKING:
    from freelane.server.metrics import Recorder

Observer = Callable[[Any, int, list[Any]], None]


def extra_headers(settings: Settings) -> list[tuple[str, str]]:
    """Those of ``--header``; an empty Server in the place of Granian's, where none is wanted."""
    pairs = [header.partition(":") for header in settings.headers]
    headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
    if not settings.server_header and "server" not in dict(headers):
        headers.append(("server", ""))
    return headers


def make_observer(settings: Settings, rsgi: bool, recorder: Recorder | None = None) -> Observer | None:
    """What the gateway calls as a response starts, with headers that may be added to; None where there is nothing to do."""
    parts: list[Observer] = []
    headers = extra_headers(settings)
    http.ALWAYS = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers]
    if headers:
        pairs: list[Any] = list(headers) if rsgi else http.ALWAYS

        def add_headers(scope: Any, status: int, headers: list[Any]) -> None:
            headers[:0] = pairs

        parts.append(add_headers)
    if recorder is not None:
        parts.append(recorder.observe)
    if settings.access_log:
        parts.append(plain_log() if settings.plain_access_log else log_more)
    if settings.show_lanes:
        parts.append(lane_headers(rsgi))
    if not parts:
        return None
    if len(parts) == 1:
        return parts[0]

    def observe(scope: Any, status: int, headers: list[Any]) -> None:
        for part in parts:
            part(scope, status, headers)

    return observe


def plain_log() -> Observer:
    """uvicorn's line: by way of its logger where somebody has changed that."""
    lines = own_way(logs.access)

    def log(scope: Any, status: int, headers: list[Any]) -> None:
        if lines is None or scope["type"] != "http" or not lines.write(scope, status):
            logs.log_access(scope, status)

    return log


def log_more(scope: Any, status: int, headers: list[Any]) -> None:
    """With what uvicorn's line has not: the lane, the request's id, the bytes that the response says it has."""
    began = scope.get("freelane.began")
    fields: dict[str, Any] = {
        "lane": (scope.get("freelane.lane") or ("loop",))[0],
        "bytes": None,
        "duration": None if began is None else round(time.monotonic() - began, 6),
    }
    for name, value in headers:
        if name in ("content-length", b"content-length"):
            fields["bytes"] = int(value)
    request_id = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
    fields["request_id"] = None if request_id is None else request_id.decode("latin-1")
    logs.log_access(scope, status, fields)


def lane_headers(rsgi: bool) -> Observer:
    def observe(scope: Any, status: int, headers: list[Any]) -> None:
        lane, thread = scope.get("freelane.lane") or ("loop", threading.current_thread().name)
        gil = "on" if lane == "gil" or gil_watch.enabled() else "off"
        for name, value in (("lane", lane), ("thread", thread), ("gil", gil)):
            pair = f"freelane-{name}", value
            headers.append(pair if rsgi else tuple(part.encode("ascii") for part in pair))

    return observe
