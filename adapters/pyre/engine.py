"""The names of Pyre's compiled module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from freelane.adapters.pyre.app import Pyre
from freelane.adapters.pyre.logs import RequestLog, emit_python_log, init_logger
from freelane.adapters.pyre.metrics import get_gil_metrics
from freelane.adapters.pyre.requests import PyreRequest
from freelane.adapters.pyre.responses import PyreResponse
from freelane.adapters.pyre.state import SharedState
from freelane.adapters.pyre.streams import PyreStream
from freelane.adapters.pyre.websockets import PyreWebSocket

__all__ = [
    "PyreApp", "PyreRequest", "PyreResponse", "PyreStream", "PyreWebSocket", "SharedState",
    "emit_python_log", "get_gil_metrics", "init_logger",
]  # fmt: skip


class PyreApp(Pyre):
    """The app without decorators: ``app.get(path, handler)``."""

    def get(self, path: str, handler: Callable[..., Any], gil: bool = False) -> None:  # type: ignore[override]
        super().route("GET", path, handler, gil=gil)

    def post(self, path: str, handler: Callable[..., Any], gil: bool = False) -> None:  # type: ignore[override]
        super().route("POST", path, handler, gil=gil)

    def put(self, path: str, handler: Callable[..., Any], gil: bool = False) -> None:  # type: ignore[override]
        super().route("PUT", path, handler, gil=gil)

    def delete(self, path: str, handler: Callable[..., Any], gil: bool = False) -> None:  # type: ignore[override]
        super().route("DELETE", path, handler, gil=gil)

    def route(  # type: ignore[override]
        self, method: str, path: str, handler: Callable[..., Any], gil: bool = False
    ) -> None:
        super().route(method, path, handler, gil=gil)

    def static_dir(self, prefix: str, directory: str) -> None:
        self.static(prefix, directory)

    def set_max_body_size(self, size: int) -> None:
        self.max_body_size = size

    def set_cors_origin(self, origin: str) -> None:
        self.enable_cors(origin)

    def set_cors_config(
        self, origin: str, methods: str, headers: str, expose_headers: str | None = None, allow_credentials: bool = False
    ) -> None:
        self.enable_cors(origin, methods, headers, expose_headers or "", allow_credentials)

    def enable_request_logging(self, enabled: bool) -> None:
        self.request_log = RequestLog("info") if enabled else None
        self.changed()
