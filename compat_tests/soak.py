"""Connections that live long: what a server has after thousands of events is what it had after hundreds.

``python -m compat_tests.soak [EVENTS] [--transport rsgi|asgi] [--pace SECONDS]`` prints, for each case, the objects that
Python's collector knows and the resident memory of the server, early and late; it fails where objects grew.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from compat_tests.servers import Server, running

# Seconds between two events.
PACE = float(os.environ.get("SOAK_PACE", "0"))

APP = """
import asyncio, collections, gc, os, threading, time
import anyio.from_thread
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
import freelane

app = FastAPI()
PACE = float(os.environ.get("SOAK_PACE", "0"))

def counts():
    for _ in range(3): gc.collect()
    found = collections.Counter(type(item).__qualname__ for item in gc.get_objects())
    with open("/proc/self/statm") as file:
        return {"objects": found, "threads": threading.active_count(), "rss": int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")}

class Marks:
    "Counts early and late among ``events``."
    def __init__(self, events): self.events, self.seen, self.taken = events, 0, []
    def step(self):
        self.seen += 1
        if self.seen == self.events // 5 or self.seen == self.events: self.taken.append(counts())

last = {}

@app.get("/taken")
async def taken(): return last["marks"].taken

@app.get("/counts")
async def now(): return counts()

@app.get("/poll/{events}")
async def poll(request: Request, events: int):
    last["marks"] = marks = Marks(events)
    for _ in range(events):
        assert not await request.is_disconnected()
        marks.step()

@app.get("/wait/{events}")
async def wait(request: Request, events: int):
    last["marks"] = marks = Marks(events)
    await request.body()
    for _ in range(events):
        try: await asyncio.wait_for(request.receive(), 0)
        except TimeoutError: pass
        marks.step()

@app.websocket("/ws/{events}")
async def ws(socket: WebSocket, events: int):
    await socket.accept()
    last["marks"] = marks = Marks(events)
    for number in range(events):
        try: await asyncio.wait_for(socket.receive_text(), 0)
        except TimeoutError: pass
        task = asyncio.create_task(socket.receive_text())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        marks.step()
    await socket.send_text("done")
    assert await socket.receive_text() == "kept"
    await socket.send_text("whole")

@app.websocket("/echo/{events}")
async def echo(socket: WebSocket, events: int):
    await socket.accept()
    last["marks"] = marks = Marks(events)
    for _ in range(events):
        await socket.send_text(await socket.receive_text())
        marks.step()

@app.get("/generator/{events}")
def generator(events: int):
    last["marks"] = marks = Marks(events)
    def chunks():
        for number in range(events):
            yield f"{number}\\n"
            marks.step()
            time.sleep(PACE)
    return StreamingResponse(chunks())

@app.get("/sse/{events}")
async def sse(request: Request, events: int):
    last["marks"] = marks = Marks(events)
    async def chunks():
        for number in range(events):
            if await request.is_disconnected(): return
            yield f"data: {number}\\n\\n"
            marks.step()
            await asyncio.sleep(PACE)
    return StreamingResponse(chunks(), media_type="text/event-stream")

waiters = {}

@app.get("/long/{number}")
async def long(request: Request, number: int):
    if number % 2:
        waiters[number] = asyncio.Event()
        await waiters[number].wait()
        del waiters[number]
    return number

@app.get("/lane/{number}")
@freelane.gil
def lane(number: int): return number

@app.get("/lane-counts")
@freelane.gil
def lane_counts(): return counts()

@app.get("/wake/{number}")
def wake(number: int):
    async def find():
        while number not in waiters: await asyncio.sleep(0)
        await asyncio.sleep(PACE)
        waiters[number].set()
    anyio.from_thread.run(find)
"""


@dataclass
class Growth:
    """What a server had early and late."""

    case: str
    early: dict[str, Any]
    late: dict[str, Any]

    @property
    def objects(self) -> int:
        early, late = (sum(found["objects"].values()) for found in (self.early, self.late))
        return int(late - early)

    @property
    def what(self) -> str:
        """The kinds that there are more of, the most first."""
        more = {name: self.late["objects"][name] - self.early["objects"].get(name, 0) for name in self.late["objects"]}
        return ", ".join(f"{name} {more[name]:+}" for name in sorted(more, key=lambda name: -more[name])[:5] if more[name] > 0)

    def line(self) -> str:
        before, after = (sum(found["objects"].values()) for found in (self.early, self.late))
        rss = [found["rss"] / (1 << 20) for found in (self.early, self.late)]
        return f"{self.case:12} {before:8} -> {after:8} objects {rss[0]:7.1f} -> {rss[1]:7.1f} MiB  {self.what}"


def stream(server: Server, path: str) -> None:
    """Read a response to its end, however long."""
    answer = server.get(path)
    while answer.read(1 << 16):
        pass


def cancelled_receives(server: Server, path: str) -> None:
    with connect(f"ws://127.0.0.1:{server.port}{path}", open_timeout=None, ping_interval=None) as client:
        assert client.recv() == "done"
        client.send("kept")
        assert client.recv() == "whole"


def messages(server: Server, path: str) -> None:
    with connect(f"ws://127.0.0.1:{server.port}{path}", open_timeout=None, ping_interval=None) as client:
        for number in range(int(path.rpartition("/")[2])):
            client.send(str(number))
            assert client.recv() == str(number)


INSIDE: dict[str, Callable[[Server, str], None]] = {
    "poll": stream, "wait": stream, "generator": stream, "sse": stream, "ws": cancelled_receives, "echo": messages,
}  # fmt: skip


def within(server: Server, case: str, events: int) -> Growth:
    """One connection with so many events."""
    INSIDE[case](server, f"/{case}/{events}")
    early, late = json.load(server.get("/taken"))
    return Growth(case, early, late)


async def long_polls(port: int, numbers: range) -> None:
    """Requests on one connection, every other one of which waits until another connection wakes it."""

    async def connected() -> Callable[[str], Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def get(path: str) -> bytes:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            return await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r")[0]))

        return get

    one, other = await connected(), await connected()
    for number in numbers:
        if number % 2:
            answer, _ = await asyncio.gather(one(f"/long/{number}"), other(f"/wake/{number}"))
        else:
            answer = await one(f"/long/{number}")
        assert answer == str(number).encode()


def leave(port: int, times: int) -> None:
    """Ask for a stream that would be long, and go."""
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /sse/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n")
            client.recv(1)


def ask_lane(port: int, times: int) -> None:
    """So many requests to the process of the gil lane, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for number in range(times):
        connection.request("GET", f"/lane/{number}")
        assert connection.getresponse().read() == str(number).encode()
        time.sleep(PACE)
    connection.close()


def settled(server: Server, tasks: int | None = None, path: str = "/counts") -> dict[str, Any]:
    """What a server has once no more than ``tasks`` are there: it hears of clients that left a little later."""
    deadline = time.monotonic() + 120
    while True:
        found: dict[str, Any] = json.load(server.get(path))
        if tasks is None or found["objects"].get("Task", 0) <= tasks or time.monotonic() > deadline:
            return found


def across(server: Server, case: str, events: int) -> Growth:
    """So many requests."""
    taken = []
    path = "/lane-counts" if case == "lane process" else "/counts"
    idle = settled(server, path=path)["objects"].get("Task", 0)
    for times in (events // 5, events - events // 5):
        if case == "long":
            asyncio.run(long_polls(server.port, range(times)))
        elif case in ("lane", "lane process"):
            ask_lane(server.port, times)
        else:
            leave(server.port, times)
        taken.append(settled(server, idle, path))
    return Growth(case, taken[0], taken[1])


CASES = [*INSIDE, "long", "leave", "lane", "lane process"]


def grown(server: Server, case: str, events: int) -> Growth:
    return within(server, case, events) if case in INSIDE else across(server, case, events // 10 if case == "leave" else events)


def is_leak(found: Growth, events: int) -> bool:
    """Whether one event in twenty left an object."""
    return found.objects > events // 20


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("events", nargs="?", type=int, default=20_000)
    parser.add_argument("--transport", default="auto", choices=["auto", "rsgi", "asgi"])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--pace", default=0.0, type=float, help="seconds between two events of generator, sse, long and lane")
    asked = parser.parse_args()
    leaks = 0
    if asked.pace != PACE:  # the server and this process read it as they are imported
        os.environ["SOAK_PACE"] = str(asked.pace)
        os.execv(sys.executable, [sys.executable, "-m", "compat_tests.soak", *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "soak_app.py").write_text(APP)
        with running(Path(name), "soak_app:app", "--transport", asked.transport) as server:
            for case in [asked.case] if asked.case else CASES:
                found = grown(server, case, asked.events)
                leaks += is_leak(found, asked.events)
                print(found.line(), flush=True)
    return bool(leaks)


if __name__ == "__main__":
    sys.exit(main())
