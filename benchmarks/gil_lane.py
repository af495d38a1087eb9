"""``python -m benchmarks.gil_lane``: what the gil lane costs, and what it keeps away from the rest.

Everything in one run, interleaved; every row is printed, ratios after them. Needs numpy here and
in the peers' environment.
"""

from __future__ import annotations

import argparse
import dataclasses
import http.client
import statistics
import sys
import threading
import time
from collections.abc import Sequence

from freelane.bench import LoadFailed, Request, load, machine
from freelane.bench.load import Load, Sample

from .servers import HOST, PeersMissing, Running, Server, ServerFailed, freelane, peers_python, serve, uvicorn

APP = "benchmarks.apps.gil_lane:app"
BODY = 5_000_000


def say(*cells: object) -> None:
    print("  ".join(str(cell) for cell in cells), flush=True)


def trivial(rounds: int, seconds: int) -> None:
    """The same endpoint in the loop lane and in the gil lane, throughput and latency."""
    cores = machine.available_cores()
    for name, placement in {"one core": machine.one_core(cores), "all cores": machine.all_cores(cores)}.items():
        with serve(freelane(), APP, cores=placement.server) as running:
            wait_for_the_lane(running)
            rates: dict[str, list[float]] = {"/": [], "/lane": []}
            latencies: dict[str, list[float]] = {"/": [], "/lane": []}
            for number in range(rounds):
                for path in rates:
                    for connections, kept in ((64, rates), (1, latencies)):
                        sample = measure(running, path, seconds, connections, placement.load)
                        value = sample.rate if connections > 1 else sample.latency[50.0]
                        kept[path].append(value)
                        say(f"trivial {number + 1}/{rounds}", f"server on {name}", f"{connections} connections", path,
                            f"{sample.rate:,.0f}/s", f"p50 {sample.latency[50.0]:.3f} ms",
                            f"p99 {sample.latency[99.0]:.3f} ms")  # fmt: skip
        ratio = statistics.median(b / a for a, b in zip(rates["/"], rates["/lane"]))
        added = statistics.median(b - a for a, b in zip(latencies["/"], latencies["/lane"])) * 1000
        say(f"server on {name}: throughput of the lane / of the loop lane = {ratio:.2f}; p50 added {added:.0f} us")


def measure(running: Running, path: str, seconds: int, connections: int, cores: frozenset[int] | None) -> Sample:
    asked = Load(running.url, (Request(path=path),), seconds, connections)
    sample = load.measure(load.choose([asked])[0], asked, cores)
    if not sample.valid:
        raise ServerFailed(f"{path}: {sample.errors}\n{running.output()}")
    return sample


def wait_for_the_lane(running: Running) -> None:
    connection = http.client.HTTPConnection(HOST, running.port, timeout=30)
    connection.request("GET", "/lane")
    connection.getresponse().read()
    connection.close()


def bodies(rounds: int) -> None:
    """5 MB in and out, over one connection, in the loop lane and in the gil lane."""
    body = bytes(BODY)
    times: dict[str, list[float]] = {"/echo": [], "/lane-echo": []}
    with serve(freelane(), APP) as running:
        wait_for_the_lane(running)
        connection = http.client.HTTPConnection(HOST, running.port, timeout=30)
        for number in range(rounds * 10 + 3):
            for path, kept in times.items():
                begun = time.perf_counter()
                connection.request("POST", path, body)
                answer = connection.getresponse().read()
                if number >= 3:
                    kept.append(time.perf_counter() - begun)
                assert answer == body
    loop, lane = (statistics.median(kept) for kept in times.values())
    for path, kept in times.items():
        say("body", path, *(f"{value * 1000:.1f}" for value in kept), "ms")
    say(f"5 MB in and out: loop lane {loop * 1000:.1f} ms, gil lane {lane * 1000:.1f} ms")
    added = lane - loop
    rate = f"{2 * BODY / added / 1e9:.2f} GB/s" if added > 0 else "faster than it can be told apart"
    say(f"the hand-over adds {added * 1000:.1f} ms for 10 MB: {rate}")


def mixed(rounds: int, seconds: int, gil_python: str | None) -> None:
    """A light endpoint while a heavy one is loaded, against uvicorn with the GIL.

    The heavy one is measured alone first: what it loses then goes to the light one, which
    asks for all that the cores have left.
    """
    peer = uvicorn(peers_python())
    servers: list[tuple[str, Server, int]] = [
        ("freelane", freelane(), 1), ("uvicorn, 1 worker", peer, 1), ("uvicorn, 2 workers", peer, 2),
    ]  # fmt: skip
    if gil_python:
        servers.insert(1, ("freelane, GIL python", freelane("--gil-python", gil_python), 1))
    found: dict[str, list[tuple[Sample, Sample, Sample]]] = {name: [] for name, _, _ in servers}
    for number in range(rounds):
        for name, server, workers in servers:
            with serve(server, APP, workers=workers) as running:
                wait_for_the_lane(running)
                alone = measure(running, "/heavy", seconds, 4, None)
                both: list[Sample] = []
                heavy = threading.Thread(
                    target=lambda both=both, running=running: both.append(measure(running, "/heavy", seconds + 1, 4, None))
                )
                heavy.start()
                time.sleep(0.3)
                light = measure(running, "/", seconds, 8, None)
                heavy.join()
            found[name].append((light, both[0], alone))
            say(f"mixed {number + 1}/{rounds}", f"{name:<20}", f"light {light.rate:,.0f}/s",
                f"p50 {light.latency[50.0]:.2f} ms", f"p99 {light.latency[99.0]:.2f} ms",
                f"heavy {both[0].rate:.1f}/s", f"p99 {both[0].latency[99.0]:.0f} ms",
                f"alone {alone.rate:.1f}/s")  # fmt: skip
    for name, samples in found.items():
        p99 = statistics.median(light.latency[99.0] for light, _, _ in samples)
        rate, mixed_rate, alone_rate = (statistics.median(sample.rate for sample in kind) for kind in zip(*samples))
        say(f"{name:<20} light p99 {p99:.2f} ms, {rate:,.0f}/s; heavy {mixed_rate:.1f}/s, alone {alone_rate:.1f}/s")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gil_lane", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--cases", default="trivial,bodies,mixed")
    parser.add_argument("--gil-python", help="also measure a lane on this interpreter, which has the app's packages")
    options = parser.parse_args(arguments)
    say(*(f"{key}={value}" for key, value in dataclasses.asdict(machine.describe()).items())
        if dataclasses.is_dataclass(machine.describe()) else (machine.describe(),))  # fmt: skip
    try:
        for case in options.cases.split(","):
            if case == "bodies":
                bodies(options.rounds)
            elif case == "mixed":
                mixed(options.rounds, options.seconds, options.gil_python)
            else:
                trivial(options.rounds, options.seconds)
    except (PeersMissing, ServerFailed, LoadFailed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
