"""One measured interval of load: what is asked of a generator, what it says, and which one is taken."""

from __future__ import annotations

import importlib
import random
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from freelane.bench.interrupts import interrupts
from freelane.bench.machine import pinned
from freelane.bench.requests import Request
from freelane.errors import ConfigError, FreelaneError

# Percentiles that are kept of each interval, as far as a generator tells them.
PERCENTILES = (10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0)
# Seconds granted beyond the interval itself before a generator counts as hung.
GRACE_SECONDS = 30.0
TIMEOUT_SECONDS = 5
# A mix of weighted requests is drawn to this length once, the same for every contender.
MIX_LENGTH = 400
# CPU seconds per second and thread from which on the generator, not the server, is what is measured.
GENERATOR_LIMIT = 0.95


class LoadFailed(FreelaneError):
    """The generator did not run or printed nothing usable. The command exits with 3."""


@dataclass(frozen=True)
class Load:
    """What is asked of a generator: requests of one server, for how long, over how many connections."""

    url: str
    requests: tuple[Request, ...]
    seconds: float
    connections: int = 64
    rate: float | None = None  # requests per second; None asks again as soon as it is answered
    threads: int = 1
    http2: bool = False


@dataclass(frozen=True)
class Sample:
    """One interval. Latencies in milliseconds by percentile; ``errors`` names only the kinds that happened."""

    requests: int
    seconds: float
    latency: dict[float, float]
    errors: dict[str, int] = field(default_factory=dict)
    generator_cpu: float = 0.0  # CPU seconds of the generator per second and thread

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def valid(self) -> bool:
        return not self.errors and self.requests > 0


class Generator(Protocol):
    """A module of ``generators``."""

    NAME: str

    def version(self) -> str | None:
        """Its name and version; None where it is not here."""

    def cannot(self, load: Load) -> str | None:
        """Why it cannot do this; None where it can."""

    def command(self, load: Load, scratch: Path) -> list[str]:
        """The command for one interval; it may write files into the directory ``scratch``."""

    def read(self, load: Load, printed: str, scratch: Path) -> Sample:
        """The sample it printed or wrote. Raises ValueError, KeyError where it did neither."""


GENERATORS = ("wrk", "oha", "h2load", "bombardier", "k6", "builtin")


def load_generator(name: str) -> Generator:
    module: Generator = importlib.import_module(f"freelane.bench.generators.{name}")
    return module


def choose(loads: Sequence[Load], wanted: str | None = None) -> tuple[Generator, str]:
    """The first generator that is here and can do all of it, and its name and version.

    Raises ConfigError where there is none, with what each lacks.
    """
    if wanted is not None and wanted not in GENERATORS:
        raise ConfigError(f"--generator must be one of {', '.join(GENERATORS)}, not '{wanted}'")
    reasons = []
    for name in [wanted] if wanted else GENERATORS:
        generator = load_generator(name)
        version = generator.version()
        reason = "is not here" if version is None else next(filter(None, map(generator.cannot, loads)), None)
        if reason is None and version is not None:
            return generator, version
        reasons.append(f"{name} {reason}")
    raise ConfigError(f"no load generator: {'; '.join(reasons)}. Install wrk, or: pip install 'freelane[bench]'")


def first_line(command: list[str], word: str) -> str | None:
    """What a program says its version is, if it is here and is the one that is meant."""
    if shutil.which(command[0]) is None:
        return None
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (asked.stdout + asked.stderr).strip().splitlines()
    return lines[0] if lines and word in lines[0].lower() else None


def plain_gets(load: Load) -> str | None:
    """Why a generator that takes a list of URLs, and nothing else for each, cannot do it."""
    shapes = {(request.method, request.headers, request.body) for request in load.requests}
    return "takes only one method, body and set of headers" if len(shapes) > 1 else None


def request_flags(load: Load, scratch: Path, body_flag: str) -> list[str]:
    """Headers and body of the first request; all that is asked of these programs is alike."""
    first = load.requests[0]
    made = [part for name, value in first.headers for part in ("-H", f"{name}: {value}")]
    if first.body:
        body = scratch / "body"
        body.write_bytes(first.body)
        made += [body_flag, str(body)]
    return made


def target_flags(load: Load, scratch: Path, list_flag: str) -> list[str]:
    """The URL, or a file of URLs."""
    if len(set(load.requests)) == 1:
        return [load.url + load.requests[0].path]
    urls = scratch / "urls"
    urls.write_text("".join(f"{load.url}{request.path}\n" for request in load.requests))
    return [list_flag, str(urls)]


def percentiles(taken: list[float]) -> dict[float, float]:
    """Of latencies in any order, the kept percentiles (nearest rank)."""
    ordered = sorted(taken)
    last = len(ordered) - 1
    return {p: ordered[min(last, int(len(ordered) * p / 100))] for p in PERCENTILES} if ordered else {}


def mix(requests: Sequence[Request]) -> tuple[Request, ...]:
    """A sequence that has each request by its weight, in an order that chance made once."""
    if len(requests) == 1:
        return tuple(requests)
    total = sum(request.weight for request in requests)
    made = [request for request in requests for _ in range(max(1, round(request.weight / total * MIX_LENGTH)))]
    random.Random(20).shuffle(made)
    return tuple(made)


def measure(generator: Generator, load: Load, cores: frozenset[int] | None = None) -> Sample:
    """Loads the server for the interval, on these cores. Raises LoadFailed."""
    with tempfile.TemporaryDirectory(prefix="freelane-load-") as scratch:
        command = generator.command(load, Path(scratch))
        before, began = children_cpu(), time.monotonic()
        done = run(generator.NAME, command, load, cores, Path(scratch))
        used, took = children_cpu() - before, time.monotonic() - began
        try:
            if done.returncode != 0:
                raise ValueError
            sample = generator.read(load, done.stdout, Path(scratch))
        except (ValueError, KeyError, IndexError, TypeError, OSError) as exc:
            printed = (done.stdout + done.stderr).strip()[-2000:]
            raise LoadFailed(f"{generator.NAME} ended with {done.returncode} and no result:\n{printed}") from exc
    cpu = used / took / max(1, load.threads) if took else 0.0
    return Sample(sample.requests, sample.seconds, sample.latency, sample.errors, round(cpu, 3))


def run(
    name: str, command: list[str], load: Load, cores: frozenset[int] | None, scratch: Path
) -> subprocess.CompletedProcess[str]:
    """The generator's run; it is gone when this returns or raises."""
    process = None
    try:
        with pinned(cores), interrupts.deferred():
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=scratch,
                start_new_session=True,
            )  # fmt: skip
        out, err = process.communicate(timeout=load.seconds + GRACE_SECONDS)
    except OSError as exc:
        raise LoadFailed(f"{name} cannot be started: {exc}") from exc
    except subprocess.TimeoutExpired as exc:
        raise LoadFailed(f"{name} did not end within {load.seconds + GRACE_SECONDS:.0f} s") from exc
    finally:
        if process is not None:
            with interrupts.deferred():
                process.kill()
                process.wait()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
