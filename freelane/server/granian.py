"""Every private name of Granian that freelane uses; nothing else in freelane has one.

Checked by ``contract()`` before serving and by compat_tests/test_granian_contract.py.
Read against Granian 2.7 and 2.8.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from granian.http import HTTP1Settings, HTTP2Settings

from freelane.fastcore.threads.granian_loop import GranianLoop

# What threads that Rust makes have is 2 MiB (std::thread, "Stack size"): too little for code that ran on Python's own.
STACK_BYTES = 8 << 20


def deepen_stacks() -> None:
    """Give Granian's threads the stacks of Python's, so that recursion ends in a RecursionError at the same depth.

    Rust reads the variable at its first thread. It is set behind ``os.environ``, which is the app's.
    """
    if "RUST_MIN_STACK" not in os.environ:
        soft, _ = resource.getrlimit(resource.RLIMIT_STACK) if resource else (0, 0)
        os.putenv("RUST_MIN_STACK", str(max(STACK_BYTES, soft)))


def save_memory() -> None:
    """Let Granian's allocator take pages of 4 KiB: of huge ones it leaves 6 MiB mostly empty.

    mimalloc reads the variable at its first allocation, after Python's own has read its.
    """
    if "MIMALLOC_ALLOW_THP" not in os.environ:
        os.putenv("MIMALLOC_ALLOW_THP", "0")


def load_rust() -> Any:
    """``granian._granian`` without the package around it: that imports what its own command needs, a third of a start."""
    name = "granian._granian"
    package = importlib.util.find_spec("granian") if "granian" not in sys.modules else None
    spec = None if package is None else PathFinder.find_spec(name, package.submodule_search_locations)
    if name in sys.modules or spec is None or spec.loader is None:
        return importlib.import_module(name)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package() -> Any:
    """Granian's public API."""
    import granian

    return granian


deepen_stacks()
save_memory()
# Its own stubs are behind it: they lack `serve_mtr` and parameters that 2.7 and 2.8 have.
rust: Any = load_rust()

# The positional parameters of RSGIWorker and ASGIWorker that `make_worker` fills.
WORKER_PARAMETERS = (
    "worker_id", "sock", "ipc", "threads", "blocking_threads", "py_threads", "py_threads_idle_timeout",
    "backpressure", "http_mode", "http1_opts", "http2_opts", "websockets_enabled", "static_files",
    "ssl_enabled", "ssl_cert", "ssl_key", "ssl_key_password", "ssl_protocol_min", "ssl_ca", "ssl_crl",
    "ssl_client_verify", "metrics",
)  # fmt: skip

NAMES = {
    "CallbackScheduler": ("_schedule_fn",),
    "RSGIWorker": ("serve_mtr", "serve_mtr_uds"),
    "ASGIWorker": ("serve_mtr", "serve_mtr_uds"),
    "WorkerSignal": ("set",),
    "SocketHolder": ("is_uds",),
    "RSGIHTTPProtocol": ("__aiter__", "__anext__", "client_disconnect", "response_bytes", "response_empty",
                         "response_stream"),
    "RSGIWebsocketProtocol": ("accept", "close"),
    "RSGIHeaders": ("items", "keys", "get", "get_all"),
}  # fmt: skip

# 2.8 returns from `serve` at once and calls `add_cb` when it has stopped; 2.7 blocks in it.
SERVE_RETURNS = hasattr(getattr(rust, "WorkerSignal", None), "add_cb")


def contract() -> list[str]:
    """What this Granian lacks of the names freelane relies on, one line each; empty when all is there."""
    import inspect

    missing = []
    for name, attributes in NAMES.items():
        cls = getattr(rust, name, None)
        if cls is None:
            missing.append(f"granian._granian.{name} is gone")
            continue
        missing += [f"granian._granian.{name}.{attr} is gone" for attr in attributes if not hasattr(cls, attr)]
    for name in ("RSGIWorker", "ASGIWorker"):
        cls = getattr(rust, name, None)
        if cls is None:
            continue
        try:
            parameters = tuple(inspect.signature(cls).parameters)
        except ValueError:
            continue
        if parameters != WORKER_PARAMETERS:
            moved = sorted(set(parameters) ^ set(WORKER_PARAMETERS)) or ["their order"]
            missing.append(f"granian._granian.{name} takes other parameters: {', '.join(moved)}")
    return missing


def version() -> str:
    """Granian's version."""
    found: str = rust.__version__
    return found


class Scheduler(getattr(rust, "CallbackScheduler", object)):  # type: ignore[misc]
    """Granian calls ``schedule(watcher)`` on its blocking thread, once per request."""

    __slots__ = ()

    def __new__(cls, loop: Any, schedule: Callable[[Any], None]) -> Scheduler:
        made: Scheduler = super().__new__(cls, loop, None, None, None, None)
        return made

    def __init__(self, loop: Any, schedule: Callable[[Any], None]) -> None:
        super().__init__()
        self._schedule_fn = schedule  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class TLS:
    """Paths and settings as Granian takes them; ``protocol_min`` is ``tls1.2`` or ``tls1.3``."""

    cert: str | None = None
    key: str | None = None
    protocol_min: str = "tls1.3"
    ca: str | None = None
    client_verify: bool = False


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """``threads`` counts Granian's blocking threads, the ones that carry Python."""

    threads: int
    backpressure: int
    http: str = "auto"
    websockets: bool = True
    tls: TLS = TLS()
    http1: HTTP1Settings | None = None
    http2: HTTP2Settings | None = None


class Door:
    """The descriptor by which one worker of Granian's accepts: a duplicate, and Granian's own from ``serve`` on."""

    def __init__(self, sock: socket.socket) -> None:
        self.family = sock.family
        self.fd = os.dup(sock.fileno())

    def shut(self) -> None:
        """Let the worker accept nobody any more: Granian can only stop all at once, its connections included.

        Its descriptor is pointed at another socket that listens to nobody.
        """
        with socket.socket(self.family, socket.SOCK_STREAM) as nobody:
            nobody.setblocking(False)
            nobody.bind("" if self.family == socket.AF_UNIX else ("::1" if self.family == socket.AF_INET6 else "127.0.0.1", 0))
            nobody.listen(1)
            os.dup2(nobody.fileno(), self.fd, inheritable=False)


def serve(
    worker_id: int,
    door: Door,
    uds: bool,
    backlog: int,
    rsgi: bool,
    options: WorkerOptions,
    schedule: Callable[[Any], None],
    loop: asyncio.AbstractEventLoop,
    lane: Any,
    main: Callable[[Any], Any],
    signal: Any,
) -> None:
    """Serve on a listening socket until ``signal.set()``; runs ``loop`` on this thread.

    ``main(stopped)`` is the coroutine function the loop runs; it must
    not return before the future ``stopped`` is done.
    """
    holder = rust.SocketHolder(door.fd, uds, backlog)
    tls = options.tls
    worker_class = rust.RSGIWorker if rsgi else rust.ASGIWorker
    worker = worker_class(
        worker_id,
        (None, holder) if SERVE_RETURNS else holder,
        None,
        1,
        512,
        options.threads,
        30,
        options.backpressure,
        options.http,
        options.http1,
        options.http2,
        options.websockets,
        None,
        tls.cert is not None,
        tls.cert,
        tls.key,
        None,
        tls.protocol_min,
        tls.ca,
        [],
        tls.client_verify,
        (None, None),
    )
    failures: list[BaseException] = []

    def run(stopped: asyncio.Future[None]) -> None:
        for awaited in (loop.create_task(main(stopped)), stopped):
            while not awaited.done():
                try:
                    loop.run_until_complete(awaited)
                except BaseException as exc:
                    # A handler of the app's that raises SystemExit, for one. Granian ends first: it aborts
                    # where what it still serves is dropped.
                    failures.append(exc)
                    signal.set()

    proxy = GranianLoop(loop, lane, run)
    scheduler = Scheduler(proxy, schedule)
    begin = worker.serve_mtr_uds if uds else worker.serve_mtr
    if SERVE_RETURNS:
        stopped = loop.create_future()
        signal.add_cb(lambda: loop.call_soon_threadsafe(stopped.set_result, None))
        begin(scheduler, proxy, signal)
        run(stopped)
    else:
        begin(scheduler, proxy, signal)
    if failures:
        raise failures[0]


def http1_settings() -> HTTP1Settings:
    """Granian's defaults for HTTP/1: ``header_read_timeout`` is milliseconds, and how long a connection may idle."""
    from granian.http import HTTP1Settings

    return HTTP1Settings()


def new_signal() -> Any:
    """What stops a worker: ``signal.set()``, from any thread."""
    return rust.WorkerSignal()
