"""The generator for machines without another: aiohttp clients, ended by time; and for a fixed rate.

At a fixed rate a latency counts from when the request was due, not from when a connection was free
for it, so that a server that stalls cannot hide the requests that it kept from being sent
(coordinated omission). One process on one core: some thousands of requests per second.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import time
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from freelane.bench.load import TIMEOUT_SECONDS, Load, Sample, percentiles

NAME = "builtin"


def version() -> str | None:
    if importlib.util.find_spec("aiohttp") is None:
        return None
    return f"aiohttp {version_of('aiohttp')} (one process, some thousands of requests per second at most)"


def cannot(load: Load) -> str | None:
    return "speaks HTTP/1.1 only" if load.http2 else None


def command(load: Load, scratch: Path) -> list[str]:
    distinct = list(dict.fromkeys(load.requests))
    places = {request: number for number, request in enumerate(distinct)}
    spec = scratch / "load.json"
    spec.write_text(json.dumps({
        "url": load.url, "seconds": load.seconds, "connections": load.connections, "rate": load.rate,
        "requests": [[item.method, item.path, list(item.headers), item.body.hex()] for item in distinct],
        "order": [places[request] for request in load.requests],
    }))  # fmt: skip
    return [sys.executable, "-m", __name__, str(spec)]


def read(load: Load, printed: str, scratch: Path) -> Sample:
    (line,) = [line for line in printed.splitlines() if line.startswith("RESULT ")]
    result = json.loads(line.removeprefix("RESULT "))
    latency = {float(p): ms for p, ms in result["latency"].items()}
    return Sample(result["requests"], result["seconds"], latency, result["errors"])


class Clients:
    """All connections of one run; they share what is counted, on one event loop."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.taken: list[float] = []
        self.errors: dict[str, int] = {}
        self.sent = 0

    async def run(self) -> None:
        import aiohttp

        spec = self.spec
        limit = aiohttp.TCPConnector(limit=spec["connections"], force_close=False)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(
            connector=limit, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        ) as session:
            self.began = time.perf_counter()
            await asyncio.gather(*(self.client(session) for _ in range(spec["connections"])))
            self.elapsed = time.perf_counter() - self.began

    async def client(self, session: Any) -> None:
        import aiohttp
        from yarl import URL

        spec, end, rate = self.spec, self.began + self.spec["seconds"], self.spec["rate"]
        made = [(method, URL(spec["url"] + path, encoded=True), dict(headers), bytes.fromhex(body) or None)
                for method, path, headers, body in spec["requests"]]  # fmt: skip
        order = spec["order"]
        while True:
            number, self.sent = self.sent, self.sent + 1
            due = self.began + number / rate if rate else time.perf_counter()
            if due >= end:
                return
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            method, url, headers, body = made[order[number % len(order)]]
            try:
                async with session.request(method, url, headers=headers, data=body, allow_redirects=False) as response:
                    await response.read()
            except TimeoutError:
                self.count("timeout")
                continue
            except aiohttp.ClientConnectorError:
                self.count("connect")
                await asyncio.sleep(0.01)
                continue
            except (aiohttp.ClientError, OSError):
                self.count("read")
                continue
            self.taken.append(time.perf_counter() - due)
            if response.status > 399:
                self.count("status")

    def count(self, kind: str) -> None:
        self.errors[kind] = self.errors.get(kind, 0) + 1

    def result(self) -> dict[str, Any]:
        latency = percentiles([seconds * 1000 for seconds in self.taken])
        return {"requests": len(self.taken), "seconds": self.elapsed, "latency": latency, "errors": self.errors}


def main(path: str) -> None:
    clients = Clients(json.loads(Path(path).read_text()))
    asyncio.run(clients.run())
    print("RESULT " + json.dumps(clients.result()))


if __name__ == "__main__":
    main(sys.argv[1])
