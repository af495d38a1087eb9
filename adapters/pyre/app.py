"""The application: what is registered on it, and the ASGI 3 app that it is."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypedDict, TypeVar, cast, overload

from freelane.adapters.lane_route import Run
from freelane.adapters.pyre import asgi
from freelane.adapters.pyre.cors import CORS
from freelane.adapters.pyre.logs import RequestLog
from freelane.adapters.pyre.mcp import MCPServer
from freelane.adapters.pyre.mounts import Mount
from freelane.adapters.pyre.openapi import OpenAPI
from freelane.adapters.pyre.pipeline import Pipeline
from freelane.adapters.pyre.routes import Route, RouteTable, nowhere
from freelane.adapters.pyre.state import SharedState
from freelane.adapters.pyre.statics import StaticDirectory
from freelane.adapters.pyre.threads import GILThread

logger = logging.getLogger("freelane.pyre")

F = TypeVar("F", bound=Callable[..., Any])

MAX_BODY = 10 * 1024 * 1024  # bytes
TIMEOUT = 30  # seconds


class LogConfig(TypedDict, total=False):
    """``level`` (OFF to TRACE), ``access_log``, ``format`` ("text" or "json")."""

    level: str
    access_log: bool
    format: str


class Verb(Protocol):
    """``Pyre.route`` for one method."""

    @overload
    def __call__(self, path: str, handler: None = None, *, gil: bool = False, model: Any = None) -> Callable[[F], F]: ...
    @overload
    def __call__(self, path: str, handler: F, *, gil: bool = False, model: Any = None) -> F: ...


def verb(method: str) -> Verb:
    def register(
        self: Pyre, path: str, handler: Callable[..., Any] | None = None, *, gil: bool = False, model: Any = None
    ) -> Any:
        return self.route(method, path, handler, gil=gil, model=model)

    register.__name__ = method.lower()
    register.__qualname__ = f"Pyre.{method.lower()}"
    register.__doc__ = f"``route`` for {method}."
    return cast(Verb, register)  # as an attribute of the class, it is bound


class Pyre:
    """A web app of decorated functions.

    ``def`` handlers run on threads, truly in parallel; ``async def`` handlers on the event
    loop; ``gil=True`` keeps a handler from ever running twice at once. ``openapi_url`` and
    ``docs_url`` are where the app is described; None turns either off.
    """

    def __init__(
        self,
        debug: bool = False,
        log_config: LogConfig | None = None,
        *,
        title: str = "Pyre",
        version: str = "0.1.0",
        openapi_url: str | None = "/openapi.json",
        docs_url: str | None = "/docs",
    ) -> None:
        self.debug = debug
        given = log_config or {}
        self._log_config: LogConfig = {
            "level": given.get("level", "DEBUG" if debug else "ERROR"),
            "access_log": given.get("access_log", debug),
            "format": given.get("format", "text" if debug else "json"),
        }
        self.lock = threading.RLock()  # guards what registration changes
        self.table = RouteTable()
        self.before_hooks: list[Callable[..., Any]] = []
        self.after_hooks: list[Callable[..., Any]] = []
        self.fallback_route: Route | None = None
        self.websockets: dict[str, WebSocketRoute] = {}
        self.websocket_table: Any = None
        self.static_directories: list[StaticDirectory] = []
        self.mounts: list[Mount] = []
        self.cors: CORS | None = None
        self.request_log: RequestLog | None = None
        self._startup_hooks: list[Callable[..., Any]] = []
        self._shutdown_hooks: list[Callable[..., Any]] = []
        self._state = SharedState()
        self._mcp = MCPServer()
        self._mcp.changed = self.changed
        self._max_body_size = MAX_BODY
        self.timeout: float = TIMEOUT
        self.openapi = OpenAPI(self, title, version, openapi_url, docs_url)
        self.gil_thread = GILThread()
        self.in_gil_lane = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.compiled: Pipeline | None = None
        self._server: Any = None

    # -- properties

    @property
    def mcp(self) -> MCPServer:
        """Tools, resources and prompts, served at ``POST /mcp`` once there are any."""
        return self._mcp

    @property
    def state(self) -> SharedState:
        """State shared by all handlers; see ``use_state``."""
        return self._state

    def use_state(self, state: SharedState) -> None:
        """Keep ``app.state`` elsewhere: ``app.use_state(SharedState("redis://localhost"))``."""
        self._state = state

    @property
    def max_body_size(self) -> int:
        """Bytes of a request's body beyond which 413 is answered."""
        return self._max_body_size

    @max_body_size.setter
    def max_body_size(self, size: int) -> None:
        if size < 0:
            raise ValueError("max_body_size must not be negative")
        self._max_body_size = size
        self.changed()

    # -- routes

    get = verb("GET")
    post = verb("POST")
    put = verb("PUT")
    delete = verb("DELETE")
    patch = verb("PATCH")
    options = verb("OPTIONS")
    head = verb("HEAD")

    @overload
    def route(
        self, method: str, path: str, handler: None = None, *, gil: bool = False, model: Any = None
    ) -> Callable[[F], F]: ...
    @overload
    def route(self, method: str, path: str, handler: F, *, gil: bool = False, model: Any = None) -> F: ...
    def route(
        self, method: str, path: str, handler: F | None = None, *, gil: bool = False, model: Any = None
    ) -> F | Callable[[F], F]:
        """Register a handler, as a decorator or directly; returns it unchanged.

        ``path`` has ``{name}`` parameters, the last may be ``{*rest}``. ``model`` checks the
        body and hands it to ``handler(req, data)`` or ``handler(data)``. Raises ValueError
        for a path that is taken or no pattern, TypeError for a parameter that cannot be filled.
        """

        def register(function: F) -> F:
            with self.lock:
                self.table.add(Route(method, path, function, gil=gil, model=model))
                self.changed()
            return function

        return register if handler is None else register(handler)

    def changed(self) -> None:
        """Something was registered: compile anew before the next request."""
        self.compiled = None

    def extra_routes(self) -> list[Route]:
        """Routes that come with features and give way to the app's own."""
        extra = self.mcp.routes(self) + self.openapi.routes()
        return [route for route in extra if (route.method, route.path) not in self.table.keys]

    @property
    def pipeline(self) -> Pipeline:
        """What is registered, compiled."""
        compiled = self.compiled
        if compiled is None:
            with self.lock:
                compiled = self.compiled
                if compiled is None:
                    compiled = self.compiled = Pipeline(self)
        return compiled

    def gil_routes(self) -> list[tuple[str, str]]:
        """Method and path of every route with ``gil=True``."""
        return [(route.method, route.pattern) for route in self.table.routes if route.gil]

    def websocket_routes(self) -> list[str]:
        """Paths of the WebSocket routes."""
        return list(self.websockets)

    # -- hooks

    @overload
    def before_request(self, handler: None = None) -> Callable[[F], F]: ...
    @overload
    def before_request(self, handler: F) -> F: ...
    def before_request(self, handler: F | None = None) -> F | Callable[[F], F]:
        """``hook(request)`` before every handler; anything but None is the answer instead."""
        return self.register(self.before_hooks, handler)

    @overload
    def after_request(self, handler: None = None) -> Callable[[F], F]: ...
    @overload
    def after_request(self, handler: F) -> F: ...
    def after_request(self, handler: F | None = None) -> F | Callable[[F], F]:
        """``hook(request, response)`` after every handler; what it returns is sent, ``response`` for None."""
        return self.register(self.after_hooks, handler)

    @overload
    def on_startup(self, handler: None = None) -> Callable[[F], F]: ...
    @overload
    def on_startup(self, handler: F) -> F: ...
    def on_startup(self, handler: F | None = None) -> F | Callable[[F], F]:
        """``hook()`` before the first request, in order; awaited if ``async def``."""
        return self.register(self._startup_hooks, handler)

    @overload
    def on_shutdown(self, handler: None = None) -> Callable[[F], F]: ...
    @overload
    def on_shutdown(self, handler: F) -> F: ...
    def on_shutdown(self, handler: F | None = None) -> F | Callable[[F], F]:
        """``hook()`` after the last request; what one raises is logged and the next one runs."""
        return self.register(self._shutdown_hooks, handler)

    def register(self, hooks: list[Callable[..., Any]], handler: F | None) -> F | Callable[[F], F]:
        def add(function: F) -> F:
            with self.lock:
                hooks.append(function)
                self.changed()
            return function

        return add if handler is None else add(handler)

    @overload
    def fallback(self, handler: None = None) -> Callable[[F], F]: ...
    @overload
    def fallback(self, handler: F) -> F: ...
    def fallback(self, handler: F | None = None) -> F | Callable[[F], F]:
        """The handler of requests that no route, file or mount takes."""

        def register(function: F) -> F:
            with self.lock:
                self.fallback_route = Route("*", "/{*path}", function)
                self.changed()
            return function

        return register if handler is None else register(handler)

    # -- more than handlers

    @overload
    def websocket(self, path: str, handler: None = None, *, origins: Sequence[str] | None = None) -> Callable[[F], F]: ...
    @overload
    def websocket(self, path: str, handler: F, *, origins: Sequence[str] | None = None) -> F: ...
    def websocket(self, path: str, handler: F | None = None, *, origins: Sequence[str] | None = None) -> F | Callable[[F], F]:
        """``handler(ws)`` for WebSocket connections. ``origins`` are the sites whose pages may connect.

        Without it those of ``enable_cors`` may, all of them if that was not called.
        """

        def register(function: F) -> F:
            with self.lock:
                self.websockets[path] = WebSocketRoute(path, function, origins)
                self.websocket_table = None
            return function

        return register if handler is None else register(handler)

    def static(self, prefix: str, directory: str) -> None:
        """Serve the files of ``directory`` below ``prefix``, where no route matches."""
        self.static_directories.append(StaticDirectory(prefix, directory))

    def mount(self, path: str, app: Any) -> None:
        """Send what no route takes below ``path`` to another ASGI app, whose lifespan runs within ours."""
        with self.lock:
            self.mounts.append(Mount(path, app))
            # The longest prefix wins.
            self.mounts.sort(key=lambda mount: -len(mount.path))

    def rpc(self, path: str, *, proto_model: Any = None) -> Callable[[F], F]:
        """``POST path`` in JSON or MessagePack: ``handler(data)`` or ``handler(req, data)``."""
        from freelane.adapters.pyre.rpc import rpc_decorator

        return rpc_decorator(self, path, proto_model)

    def enable_cors(
        self,
        allow_origins: str | list[str] = "*",
        allow_methods: str | list[str] = "GET, POST, PUT, DELETE, PATCH, OPTIONS",
        allow_headers: str | list[str] = "*",
        expose_headers: str | list[str] = "",
        allow_credentials: bool = False,
        max_age: int = 86400,
    ) -> None:
        """Let pages of other origins call the app. ``max_age`` in seconds."""
        self.cors = CORS(allow_origins, allow_methods, allow_headers, expose_headers, allow_credentials, max_age)
        self.changed()

    def enable_logging(self, level: str = "info") -> None:
        """Print a line for every request whose outcome is at least of ``level`` (debug, info, warn, error)."""
        self.request_log = RequestLog(level)
        self._log_config["access_log"] = True
        self.changed()

    # -- serving

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI 3: http, websocket and lifespan."""
        await asgi.handle(self, scope, receive, send)

    def wait(self, awaitable: Any) -> Any:
        """The result of what a `def` handler returned to be awaited; for threads without a loop."""

        async def awaited() -> Any:
            return await awaitable

        if self.loop is None or not self.loop.is_running():
            return asyncio.run(awaited())
        return asyncio.run_coroutine_threadsafe(awaited(), self.loop).result()

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        workers: int | None = None,
        mode: str | None = None,
        reload: bool = False,
        io_workers: int | None = None,
    ) -> None:
        """Serve until SIGINT or SIGTERM, or ``stop()`` from another thread.

        ``host`` and ``port`` are else PYRE_HOST and PYRE_PORT, else 127.0.0.1:8000. ``mode``,
        ``workers`` and ``io_workers`` size Pyre's interpreters; here the threads of `def`
        handlers follow the load, so they are accepted and without effect.
        """
        from freelane.adapters.pyre import serving

        serving.run(self, host, port, workers, mode, reload, io_workers)

    def stop(self) -> None:
        """Finish what runs and return from ``run()``. From any thread."""
        if self._server is not None:
            self._server.stop()


class WebSocketRoute:
    """One WebSocket path. Constant once made."""

    def __init__(self, path: str, handler: Callable[..., Any], origins: Sequence[str] | None) -> None:
        self.path = path
        self.handler = handler
        self.origins = None if origins is None else frozenset(origins)
        self.elsewhere: Callable[[], Run | None] = nowhere


def is_worker() -> bool:
    """Whether this process only wants the app's routes, and ``run()`` must not serve."""
    return os.environ.get("PYRE_WORKER") == "1"
