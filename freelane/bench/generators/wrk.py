"""wrk: HTTP/1.1, as fast as can be; no fixed rate."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from freelane.bench.load import PERCENTILES, TIMEOUT_SECONDS, Load, Sample

NAME = "wrk"
ERRORS = ("connect", "read", "write", "status", "timeout")

# wrk hands its totals to done(); one JSON line is easier to read back than its table.
DONE = """
function done(summary, latency, requests)
  local e = summary.errors
  local t = {}
  for _, p in ipairs({%(percentiles)s}) do
    table.insert(t, string.format('"%%s": %%d', p, p == 100 and latency.max or latency:percentile(p)))
  end
  io.write(string.format(
    '\\nRESULT {"requests": %%d, "us": %%d, "latency": {%%s}, "connect": %%d, "read": %%d, ' ..
    '"write": %%d, "status": %%d, "timeout": %%d}\\n',
    summary.requests, summary.duration, table.concat(t, ", "),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""

# One request is written once by wrk itself; several take turns, each thread from a place of its own.
TURNS = """
local turns, at = {}, 0
local order = {%(order)s}
local count = 0
function setup(thread) thread:set("offset", count * 17); count = count + 1 end
function init(args)
  local made = {}
%(made)s
  for _, number in ipairs(order) do table.insert(turns, made[number]) end
  at = offset %% #turns
end
function request()
  at = at %% #turns + 1
  return turns[at]
end
"""


def version() -> str | None:
    if shutil.which(NAME) is None:
        return None
    printed = subprocess.run([NAME, "-v"], capture_output=True, text=True, timeout=10)
    return " ".join((printed.stdout + printed.stderr).split()[:2])


def cannot(load: Load) -> str | None:
    if load.rate is not None:
        return "has no fixed rate"
    return "speaks HTTP/1.1 only" if load.http2 else None


def command(load: Load, scratch: Path) -> list[str]:
    script = scratch / "load.lua"
    script.write_text(lua(load))
    threads = min(load.threads, load.connections)
    made = [NAME, f"-t{threads}", f"-c{load.connections}", f"-d{max(1, round(load.seconds))}s"]
    return [*made, f"--timeout={TIMEOUT_SECONDS}s", "--latency", "-s", str(script), load.url + load.requests[0].path]


def lua(load: Load) -> str:
    done = DONE % {"percentiles": ", ".join(f"{p:g}" for p in PERCENTILES)}
    distinct = list(dict.fromkeys(load.requests))
    if len(distinct) == 1:
        request = distinct[0]
        lines = [f"wrk.method = {quoted(request.method)}"]
        lines += [f"wrk.headers[{quoted(name)}] = {quoted(value)}" for name, value in request.headers]
        if request.body:
            lines.append(f"wrk.body = {quoted(request.body)}")
        return "\n".join(lines) + "\n" + done
    made = []
    for number, request in enumerate(distinct, 1):
        headers = ", ".join(f"[{quoted(name)}] = {quoted(value)}" for name, value in request.headers)
        body = quoted(request.body) if request.body else "nil"
        made.append(f"  made[{number}] = wrk.format({quoted(request.method)}, {quoted(request.path)}, {{{headers}}}, {body})")
    places = {request: number for number, request in enumerate(distinct, 1)}
    order = ", ".join(str(places[request]) for request in load.requests)
    return TURNS % {"order": order, "made": "\n".join(made)} + done


def quoted(text: str | bytes) -> str:
    """A Lua string: every byte that is no plain character by its number."""
    data = text if isinstance(text, bytes) else text.encode()
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03d}" for b in data) + '"'


def read(load: Load, printed: str, scratch: Path) -> Sample:
    (line,) = [line for line in printed.splitlines() if line.startswith("RESULT ")]
    result = json.loads(line.removeprefix("RESULT "))
    latency = {float(p): us / 1000 for p, us in result["latency"].items()}
    errors = {kind: result[kind] for kind in ERRORS if result[kind]}
    return Sample(result["requests"], result["us"] / 1e6, latency, errors)
