"""oha: HTTP/1.1 and HTTP/2; corrects latency at a fixed rate for coordinated omission."""

from __future__ import annotations

import json
from pathlib import Path

from freelane.bench.load import TIMEOUT_SECONDS, Load, Sample, first_line, plain_gets, request_flags, target_flags

NAME = "oha"
# Requests that were under way when time was up are no fault of the server's.
CUT_OFF = "aborted due to deadline"


def version() -> str | None:
    return first_line([NAME, "--version"], "oha")


def cannot(load: Load) -> str | None:
    return plain_gets(load)


def command(load: Load, scratch: Path) -> list[str]:
    made = [NAME, "--no-tui", "--output-format", "json", "-z", f"{load.seconds:g}s", "-c", str(load.connections)]
    made += ["-t", f"{TIMEOUT_SECONDS}s", "-r", "0"]
    if load.rate is not None:
        made += ["-q", f"{load.rate:g}", "--latency-correction"]
    if load.http2:
        made.append("--http2")
    made += ["-m", load.requests[0].method, *request_flags(load, scratch, "-D")]
    return [*made, *target_flags(load, scratch, "--urls-from-file")]


def read(load: Load, printed: str, scratch: Path) -> Sample:
    """The JSON of ``--output-format json``, by the schema in oha's repository; its times are seconds."""
    result = json.loads(printed)
    statuses = {int(code): count for code, count in result["statusCodeDistribution"].items()}
    errors = {kind: count for kind, count in result["errorDistribution"].items() if kind != CUT_OFF}
    if failed := sum(count for code, count in statuses.items() if code > 399):
        errors["status"] = failed
    latency = {
        float(p[1:]): seconds * 1000 for p, seconds in result["latencyPercentiles"].items() if seconds is not None
    }  # fmt: skip
    latency[100.0] = result["summary"]["slowest"] * 1000
    return Sample(sum(statuses.values()), result["summary"]["total"], latency, errors)
