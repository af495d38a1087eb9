"""h2load, of nghttp2: HTTP/2, and HTTP/1.1 where wrk is not here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from freelane.bench.load import Load, Sample, first_line, percentiles, plain_gets, request_flags, target_flags

NAME = "h2load"


def version() -> str | None:
    return first_line([NAME, "--version"], "h2load")


def cannot(load: Load) -> str | None:
    if load.rate is not None:
        return "does not correct latency at a fixed rate"
    if load.requests and load.requests[0].method not in ("GET", "POST"):
        return "sends GET and POST only"
    if load.requests and load.requests[0].method == "POST" and not load.requests[0].body:
        return "sends no POST without a body"
    return plain_gets(load)


def command(load: Load, scratch: Path) -> list[str]:
    made = [NAME, "-c", str(load.connections), "-t", str(min(load.threads, load.connections)), "-D", f"{load.seconds:g}s"]
    made += ["--log-file", str(scratch / "log")]
    if not load.http2:
        made.append("--h1")
    return [*made, *request_flags(load, scratch, "-d"), *target_flags(load, scratch, "-i")]


def read(load: Load, printed: str, scratch: Path) -> Sample:
    """The log has a line for each answer: start, status, microseconds."""
    taken: list[float] = []
    errors: Counter[str] = Counter()
    with (scratch / "log").open() as log:
        for line in log:
            _, status, took, *_ = line.split("\t")
            if int(status) < 0:
                errors["read"] += 1
                continue
            taken.append(int(took) / 1000)
            errors["status"] += int(status) > 399
    if not taken and "0 done" not in printed:
        errors["connect"] += load.connections
    return Sample(len(taken), load.seconds, percentiles(taken), {kind: count for kind, count in errors.items() if count})
