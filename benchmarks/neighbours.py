"""``python -m benchmarks.neighbours``: latency of one client that asks 250 times a second beside a busy loop on every core.

Real machines are busy. Servers take turns, round by round; each row is the median of its rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from freelane.bench import machine

from .servers import HOST, PeersMissing, Running, ServerFailed, freelane, peers_python, serve, uvicorn

APP = "benchmarks.apps.ordinary:app"
LOGIN = {"Authorization": "Bearer letmein"}

RATE = 250  # requests per second
LANES = {
    "async def": "/",
    "async def, async yield": "/items/7",
    "def, def yield": "/def/7",
}


@contextlib.contextmanager
def busy_loops(number: int) -> Iterator[None]:
    """``number`` processes that compute until the block is left."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def latencies(running: Running, path: str, seconds: float) -> list[float]:
    """Milliseconds of each request over one connection; the next is due on time, however late the last was."""
    connection = http.client.HTTPConnection(HOST, running.port, timeout=30)
    found: list[float] = []
    due = time.perf_counter()
    end = due + seconds
    while due < end:
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        connection.request("GET", path, headers=LOGIN)
        response = connection.getresponse()
        response.read()
        found.append((time.perf_counter() - began) * 1000)
        if response.status != 200:
            raise ServerFailed(f"{path}: {response.status}\n{running.output()}")
        due = max(due + 1 / RATE, began)
    connection.close()
    return found


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbours", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args(arguments)
    cores = machine.available_cores()
    try:
        peers = {"uvicorn": uvicorn(peers_python())}
    except PeersMissing as error:
        print(f"no environment for the other server: {error}", file=sys.stderr)
        peers = {}
    servers = {"freelane": freelane(), "freelane --no-batch": freelane("--no-batch"), **peers}
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(serve(server, APP)) for name, server in servers.items()}
        for one in running.values():
            for path in LANES.values():
                latencies(one, path, 0.5)
        stack.enter_context(busy_loops(len(cores)))
        for _ in range(options.rounds):
            for lane, path in LANES.items():
                for name, one in running.items():
                    found.setdefault((lane, name), []).append(percentiles(latencies(one, path, options.seconds)))
    print(f"{len(cores)} busy loops on {len(cores)} cores, {RATE} requests/s, {options.rounds} rounds of {options.seconds} s")
    for (lane, name), rounds in found.items():
        p50, p99 = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"{lane:<24} {name:<20} p50 {p50:8.2f} ms  p99 {p99:8.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
