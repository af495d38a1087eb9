"""A worker in memory that is called as Granian calls one: on a thread, with a watcher."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from freelane.adapters.registry import adapt
from freelane.fastcore.asgi.gateway import Gateway
from freelane.fastcore.threads.executor import Executor
from freelane.fastcore.threads.loop_queue import LoopQueue
from freelane.testing import Answer, HTTPProtocol, make_scope

WAIT_SECONDS = 120.0


class Body(concurrent.futures.Future[bytes]):
    """A body as Granian's ``proto()`` gives it: its callbacks need no loop, and a loop may await it."""

    def __await__(self) -> Generator[Any, None, bytes]:
        return asyncio.wrap_future(self).__await__()


class Protocol(HTTPProtocol):
    """An HTTPProtocol for threads without a loop; its content is there from the start."""

    def __call__(self) -> Any:
        assert isinstance(self.content, bytes)
        self.claim()
        body = Body()
        body.set_result(self.content)
        return body


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
        self.lane = LoopQueue(self.loop)
        self.executor = Executor(limit, backlog)
        self.errors: list[Any] = []
        self.adapted = adapt(app, self.executor, self.lane)
        self.gateway = Gateway(self.adapted.app, self.loop, lane=self.lane, logger=self)
        way = self.adapted.bind(self.gateway)
        self.schedule = self.gateway.schedule if way is None else way.schedule
        self.stopped = asyncio.Event()
        # As a task: anyio's own worker threads end with the loop's outermost one.
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.stopped.wait(),))
        self.thread.start()

    def error(self, message: str, exc_info: Any = None) -> None:
        self.errors.append(exc_info)

    def ask(self, method: str, target: str, headers: Any = (), content: bytes = b"") -> Answer:
        return self.begin(method, target, headers, content)()

    def begin(self, method: str, target: str, headers: Any = (), content: bytes = b"") -> Callable[[], Answer]:
        pairs = list(headers)
        if content and not any(name.lower() == b"content-length" for name, _ in pairs):
            pairs.append((b"content-length", str(len(content)).encode()))
        protocol = Protocol(content)
        watcher = Watcher(make_scope(method, target, pairs), protocol)
        thread = threading.Thread(target=self.schedule, args=(watcher,))
        thread.start()

        def answer() -> Answer:
            thread.join(WAIT_SECONDS)
            deadline = time.monotonic() + WAIT_SECONDS
            while not protocol.ended.is_set() and time.monotonic() < deadline:
                time.sleep(0.002)
            assert protocol.head is not None and protocol.ended.is_set(), f"no whole answer to {method} {target}"
            chunks = [protocol.chunks.get_nowait() for _ in range(protocol.chunks.qsize())]
            return Answer(*protocol.head, b"".join(chunks), chunks)

        return answer

    def close(self) -> None:
        """Stop; a second call does nothing."""
        if self.loop.is_closed():
            return
        self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join(WAIT_SECONDS)
        self.executor.shutdown()
        self.loop.close()
