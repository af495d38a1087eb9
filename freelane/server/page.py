"""The Prometheus page of a server (``--metrics-port``): one for all of its processes, in the one that was started."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from freelane.errors import ConfigError
from freelane.server.ledger import BUCKETS, Family, Ledger

logger = logging.getLogger("freelane.error")

# What a client gets to send its request, and to take the answer (seconds): a supervisor waits for it.
PATIENCE = 1.0


class Page:
    """Shows what ``ledger`` has once ``refresh()`` has brought it up to date. Answers one request after the other.

    Either on a thread (``serve``), or where somebody calls ``answer`` once ``sock`` can be read: a supervisor forks,
    and who forks has no threads. Raises ConfigError without prometheus_client.
    """

    def __init__(self, sock: socket.socket, ledger: Ledger, refresh: Callable[[], None]) -> None:
        try:
            import prometheus_client
        except ImportError:
            raise ConfigError("--metrics-port needs prometheus_client: pip install 'freelane[metrics]'") from None
        registry: Any = prometheus_client.CollectorRegistry()
        registry.register(Collector(ledger, refresh))
        prometheus_client.ProcessCollector(registry=registry)
        self.sock = sock
        self.server = Server(sock, prometheus_client.make_wsgi_app(registry))
        self.thread: threading.Thread | None = None
        host, port = sock.getsockname()[:2]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"

    def serve(self) -> None:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.1,), name="freelane-metrics", daemon=True)
        self.thread.start()

    def pause(self) -> None:
        """Answer who is here, and let those who come wait."""
        if self.thread is not None:
            self.server.shutdown()
            self.thread = None

    def answer(self) -> None:
        self.server.handle_request()

    def close(self) -> None:
        self.pause()
        self.server.server_close()


def listen(host: str, port: int) -> socket.socket:
    """The page's socket. Raises ConfigError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as exc:
        raise ConfigError(f"--metrics-port {port} cannot be used: {exc.strerror or exc}") from None


class Server(WSGIServer):
    """wsgiref's, on a socket that is there, and with little patience."""

    timeout = 0

    def __init__(self, sock: socket.socket, app: Callable[..., Any]) -> None:
        super().__init__(sock.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        sock.setblocking(False)  # who was here may be gone before it is accepted
        self.socket = sock
        self.server_name, self.server_port = sock.getsockname()[:2]
        self.setup_environ()
        self.set_app(app)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether all of a request's head came in time."""
        request.settimeout(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                head = request.recv(1 << 16, socket.MSG_PEEK)
            except OSError:
                return False
            if not head or b"\r\n\r\n" in head:
                return bool(head)
            time.sleep(0.01)
        return False

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("the metrics page", exc_info=True)


class Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nobody wants a line for each."""


class Collector:
    """What prometheus_client asks. A page is better than none: what fails is logged."""

    def __init__(self, ledger: Ledger, refresh: Callable[[], None]) -> None:
        self.ledger = ledger
        self.refresh = refresh

    def collect(self) -> Iterator[Any]:
        try:
            self.refresh()
        except Exception as exc:
            logger.error("Metrics are not up to date.\n", exc_info=exc)
        for family in self.ledger.families():
            yield made(family)


def made(family: Family) -> Any:
    """A family as prometheus_client has it."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    name, help, labels = family.name, family.help, family.labels
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(name, help, labels=labels)
        for values, (total, *counts) in family.rows:
            below, rows = 0, []
            for bound, number in zip((*map(str, BUCKETS), "+Inf"), counts):
                below += number
                rows.append((bound, below))
            histogram.add_metric(values, rows, total)
        return histogram
    found = (CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily)(name, help, labels=labels)
    for values, number in family.rows:
        found.add_metric(values, number)
    return found
