"""A client for tests, with the app on a real server in a thread."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from freelane.adapters.pyre.app import Pyre


@dataclass
class TestResponse:
    """``headers`` has the last of each name as sent; ``header_list`` all of them."""

    __test__ = False

    status_code: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    header_list: list[tuple[str, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")

    @property
    def content(self) -> bytes:
        return self.body

    def json(self) -> Any:
        return json.loads(self.body)


class ServerThread:
    """A thread that serves one client after the other, and never ends.

    Granian's memory allocator crashes when a thread that had a server ends and the next
    one begins.
    """

    idle: list[ServerThread] = []  # append and pop are atomic

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self.work, name="freelane-testclient", daemon=True).start()

    @classmethod
    def run(cls, job: Callable[[], None]) -> None:
        try:
            thread = cls.idle.pop()
        except IndexError:
            thread = cls()
        thread.jobs.put(job)

    def work(self) -> None:
        while True:
            job = self.jobs.get()
            job()
            del job
            self.idle.append(self)


class TestClient:
    """Serves ``app`` on ``port``, a free one for None, until ``close``; ready when it returns.

    Raises RuntimeError if the server does not start within ten seconds.
    """

    __test__ = False

    def __init__(self, app: Pyre, host: str = "127.0.0.1", port: int | None = None) -> None:
        if port is None:
            with socket.create_server((host, 0)) as probe:
                port = probe.getsockname()[1]
        self.app, self.host, self.port = app, host, port
        self.base_url = f"http://{host}:{port}"
        self.failure: BaseException | None = None
        self._stopped = threading.Event()
        ServerThread.run(self._serve)
        self._wait()

    def _serve(self) -> None:
        try:
            self.app.run(host=self.host, port=self.port, mode="default")
        except BaseException as exc:
            self.failure = exc
        finally:
            self._stopped.set()

    def _wait(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self.failure is not None or self._stopped.is_set():
                raise RuntimeError(f"TestClient: the server did not start: {self.failure!r}")
            if self.app._server is not None and self.app._server.workers:
                try:
                    self._request("GET", "/")
                    return
                except OSError:
                    pass
            time.sleep(0.02)
        raise RuntimeError("TestClient: the server did not start within 10 seconds")

    def close(self) -> None:
        """Stop the server, shutdown hooks included."""
        self.app.stop()
        self._stopped.wait(10)

    def __enter__(self) -> TestClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _request(
        self, method: str, path: str, body: bytes | str | dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> TestResponse:
        sent = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(self.base_url + path, data, sent, method=method)
        try:
            response = urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as exc:
            response = exc
        with response:
            return TestResponse(response.status, response.read(), dict(response.headers), response.headers.items())

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self._request("GET", path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> TestResponse:
        return self._request("POST", path, **kwargs)

    def put(self, path: str, **kwargs: Any) -> TestResponse:
        return self._request("PUT", path, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> TestResponse:
        return self._request("DELETE", path, **kwargs)

    def patch(self, path: str, **kwargs: Any) -> TestResponse:
        return self._request("PATCH", path, **kwargs)

    def options(self, path: str, **kwargs: Any) -> TestResponse:
        return self._request("OPTIONS", path, **kwargs)

    def head(self, path: str, **kwargs: Any) -> TestResponse:
        return self._request("HEAD", path, **kwargs)
