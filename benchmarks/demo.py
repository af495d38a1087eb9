"""``make demo``: serve the demo app with freelane, ask each kind of endpoint once, compare with uvicorn."""

from __future__ import annotations

import asyncio
import http.client
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from websockets.asyncio.client import connect

from freelane.bench import LoadFailed, compare, table
from freelane.bench.interrupts import interrupts
from freelane.bench.progress import Lines
from freelane.bench.runs import Timing

from .servers import HOST, PeersMissing, Running, ServerFailed, freelane, peers_python, serve

DEMO = "benchmarks/apps/demo.py:app"
# Short on purpose: three requests, two servers, a minute in all.
COMPARED, REQUESTS = "benchmarks.apps.hello:app", ("GET /", "GET /def", "GET /compute")
TIMING = Timing(rounds=2, duration=2, warm_up=2)

NEXT = """
What to type next:
  .venv/bin/freelane run yourmodule:app    serve your own app
  .venv/bin/freelane run --help            every option
  .venv/bin/freelane bench yourmodule:app --against uvicorn   the same comparison, of yours
  .venv/bin/python -m benchmarks           the whole comparison (an hour)
  make test                                the test suite
"""


@dataclass(frozen=True)
class Question:
    kind: str
    method: str
    path: str
    body: bytes | None = None


QUESTIONS = (
    Question("JSON, async def", "GET", "/"),
    Question("path parameter", "GET", "/items/21"),
    Question("def", "GET", "/def"),
    Question("def that computes", "GET", "/compute"),
    Question("JSON body", "POST", "/echo", b'{"a": 1}'),
    Question("streamed", "GET", "/stream"),
    Question("lifespan state", "GET", "/state"),
    Question("not there", "GET", "/nowhere"),
)


def show(kind: str, asked: str, status: object, lane: str, thread: str, gil: str, answer: str) -> None:
    print(f"  {kind:<18} {asked:<15} {status:<5} {lane:<5} {thread:<16} {gil:<4} {answer}")


def ask(port: int, question: Question) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        headers = {"content-type": "application/json"} if question.body else {}
        connection.request(question.method, question.path, question.body, headers)
        response = connection.getresponse()
        answer = response.read().decode()
        shown = answer if len(answer) <= 40 else answer[:37] + "..."
        lane, thread, gil = (response.getheader(f"freelane-{name}", "?") for name in ("lane", "thread", "gil"))
        asked = f"{question.method} {question.path}"
        show(question.kind, asked, response.status, lane, thread, gil, shown.replace("\n", "|"))
    finally:
        connection.close()


async def ask_websocket(port: int) -> None:
    async with connect(f"ws://{HOST}:{port}/ws", open_timeout=10) as websocket:
        await websocket.send("hello")
        answer = await asyncio.wait_for(websocket.recv(), 10)
    # A WebSocket is always served by its event loop; its handshake carries no header of ours.
    show("WebSocket", "WS /ws", 101, "loop", "MainThread", "", str(answer))


@contextmanager
def served() -> Iterator[Running]:
    with serve(freelane(), DEMO, show_lanes=True, log_level="info") as running:
        yield running


def main() -> int:
    interrupts.install()
    try:
        with served() as running:
            print("\n" + next((line for line in running.output().splitlines() if line.startswith("freelane ")), ""))
            print("\nEach kind of endpoint of benchmarks/apps/demo.py, asked once:\n")
            show("kind", "request", "", "lane", "thread", "GIL", "answer")
            for question in QUESTIONS:
                ask(running.port, question)
            asyncio.run(ask_websocket(running.port))
        against = []
        try:
            against = [f"uvicorn@{peers_python()}"]
        except PeersMissing as missing:
            print(f"\nNo uvicorn to compare with: {missing}")
        print("\nA short comparison, server on one core and load on the other (see README, Benchmarks):\n", flush=True)
        found = compare(COMPARED, against, REQUESTS, compare_only=False, each=True, timing=TIMING, progress=Lines())
        print(table.text(found))
    except (ServerFailed, LoadFailed) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(NEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
