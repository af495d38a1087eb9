"""bombardier: HTTP/1.1 and HTTP/2, one kind of request at a time; tells no percentile beyond the 99th."""

from __future__ import annotations

import json
from pathlib import Path

from freelane.bench.load import TIMEOUT_SECONDS, Load, Sample, first_line, request_flags

NAME = "bombardier"


def version() -> str | None:
    # Debian has a game of this name, which does not say so.
    return first_line([NAME, "--version"], "bombardier")


def cannot(load: Load) -> str | None:
    if load.rate is not None:
        return "does not correct latency at a fixed rate"
    return "sends one kind of request only" if len(set(load.requests)) > 1 else None


def command(load: Load, scratch: Path) -> list[str]:
    made = [NAME, "-c", str(load.connections), "-d", f"{load.seconds:g}s", "-t", f"{TIMEOUT_SECONDS}s", "-l"]
    made += ["-p", "r", "-o", "json"]
    if load.http2:
        made.append("--http2")
    made += ["-m", load.requests[0].method, *request_flags(load, scratch, "-f")]
    return [*made, load.url + load.requests[0].path]


def read(load: Load, printed: str, scratch: Path) -> Sample:
    """The template named json in bombardier's source; its times are microseconds."""
    result = json.loads(printed)["result"]
    answered = {kind: result[f"req{kind}"] for kind in ("1xx", "2xx", "3xx", "4xx", "5xx")}
    errors = {"status": answered["4xx"] + answered["5xx"], "connection": result["others"]}
    latency = {float(p): us / 1000 for p, us in result["latency"].get("percentiles", {}).items()}
    latency[100.0] = result["latency"]["max"] / 1000
    return Sample(
        sum(answered.values()), result["timeTakenSeconds"], latency, {kind: count for kind, count in errors.items() if count}
    )
