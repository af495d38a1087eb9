"""A worker in memory that is called as Granian calls one: on a thread, with a watcher."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from freelane.adapters import adapt
from freelane.fastcore.executor import Executor
from freelane.fastcore.gateway import Gateway
from freelane.fastcore.lane import LoopLane
from freelane.testing import Answer, HTTPProtocol, make_scope


class Watcher:
    """What Granian hands to the scheduler."""

    def __init__(self, scope: Any, proto: Any) -> None:
        self.scope, self.proto = scope, proto

    def done(self) -> None:
        self.proto.response_empty(500, [])


class Server:
    """A worker without Granian: ``ask`` calls the scheduler from a thread, as Granian does."""

    def __init__(self, app: Any, limit: int = 4, backlog: int = 100) -> None:
        self.loop = asyncio.new_event_loop()
        self.lane = LoopLane(self.loop)
        self.executor = Executor(limit, backlog)
        self.errors: list[Any] = []
        self.adapted = adapt(app, self.executor, self.lane)
        self.gateway = Gateway(self.adapted.app, self.loop, lane=self.lane, logger=self)
        way = self.adapted.bind(self.gateway)
        self.schedule = self.gateway.schedule if way is None else way.schedule
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def error(self, message: str, exc_info: Any = None) -> None:
        self.errors.append(exc_info)

    def ask(self, method: str, target: str, headers: Any = (), content: bytes = b"") -> Answer:
        return self.begin(method, target, headers, content)()

    def begin(self, method: str, target: str, headers: Any = (), content: bytes = b"") -> Any:
        pairs = list(headers)
        if content and not any(name.lower() == b"content-length" for name, _ in pairs):
            pairs.append((b"content-length", str(len(content)).encode()))
        protocol = HTTPProtocol(content)
        watcher = Watcher(make_scope(method, target, pairs), protocol)
        thread = threading.Thread(target=self.schedule, args=(watcher,))
        thread.start()

        def answer() -> Answer:
            thread.join(10)
            deadline = time.monotonic() + 10
            while not protocol.ended.is_set() and time.monotonic() < deadline:
                time.sleep(0.002)
            assert protocol.head is not None
            chunks = [protocol.chunks.get_nowait() for _ in range(protocol.chunks.qsize())]
            return Answer(*protocol.head, b"".join(chunks), chunks)

        return answer

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.executor.shutdown()
        self.loop.close()
