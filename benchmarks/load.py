"""One measured interval of load: by wrk, else by a bounded generator built on httpx."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .machine import pinned
from .servers import ROOT

# Seconds granted beyond the interval itself before a generator counts as hung.
GRACE_SECONDS = 30.0
TIMEOUT_SECONDS = 5


class LoadFailed(Exception):
    """The generator did not run or printed nothing usable."""


@dataclass(frozen=True)
class Request:
    method: str = "GET"
    path: str = "/"
    body: str = ""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    def all_headers(self) -> dict[str, str]:
        return {**({"Content-Type": self.content_type} if self.body else {}), **dict(self.headers)}


@dataclass(frozen=True)
class Sample:
    """One interval. Latencies in milliseconds; ``errors`` names only the kinds that happened."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    requests: int
    errors: dict[str, int]

    @property
    def valid(self) -> bool:
        return not self.errors and self.requests > 0


# wrk hands its totals to done(); one JSON line is easier to read back than its table.
_LUA = """
wrk.method = %(method)s
%(rest)s
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\nRESULT {"requests": %%d, "us": %%d, "p50_us": %%d, "p99_us": %%d, "connect": %%d, "read": %%d, ' ..
    '"write": %%d, "status": %%d, "timeout": %%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""
_ERRORS = ("connect", "read", "write", "status", "timeout")


def generator() -> str:
    """The name and version of the load generator that will be used."""
    if shutil.which("wrk"):
        printed = subprocess.run(["wrk", "-v"], capture_output=True, text=True, timeout=10)
        words = (printed.stdout + printed.stderr).split()
        return " ".join(words[:2])
    import httpx

    return f"httpx {httpx.__version__} (wrk is not on PATH; this generator is slow and may itself be the limit)"


def measure(
    url: str, request: Request, *, seconds: float, connections: int = 64, cores: frozenset[int] | None = None
) -> Sample:
    """Loads ``url`` for ``seconds`` over ``connections`` keep-alive connections from one thread."""
    whole = max(1, round(seconds))
    with tempfile.TemporaryDirectory(prefix="freelane-load-") as scratch:
        if shutil.which("wrk"):
            script = Path(scratch) / "load.lua"
            script.write_text(_lua(request))
            command = ["wrk", "-t1", f"-c{connections}", f"-d{whole}s", f"--timeout={TIMEOUT_SECONDS}s", "--latency"]
            command += ["-s", str(script), url + request.path]
        else:
            command = [sys.executable, "-m", "benchmarks.httpx_load", url + request.path, request.method]
            command += [request.body, json.dumps(request.all_headers()), str(connections), str(whole)]
        with pinned(cores):
            try:
                done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=whole + GRACE_SECONDS)
            except subprocess.TimeoutExpired as error:
                raise LoadFailed(f"{command[0]} did not end within {error.timeout:.0f} s") from error
    return _sample(command[0], done)


def _lua(request: Request) -> str:
    rest = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in request.all_headers().items()]
    if request.body:
        rest.append(f"wrk.body = {json.dumps(request.body)}")
    return _LUA % {"method": json.dumps(request.method), "rest": "\n".join(rest)}


def _sample(name: str, done: subprocess.CompletedProcess[str]) -> Sample:
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or len(lines) != 1:
        raise LoadFailed(f"{name} ended with {done.returncode}:\n{(done.stdout + done.stderr).strip()[-2000:]}")
    result: dict[str, int] = json.loads(lines[0].removeprefix("RESULT "))
    return Sample(
        requests_per_second=round(result["requests"] / (result["us"] / 1e6), 1),
        p50_ms=round(result["p50_us"] / 1000, 3),
        p99_ms=round(result["p99_us"] / 1000, 3),
        requests=result["requests"],
        errors={kind: result[kind] for kind in _ERRORS if result[kind]},
    )
