"""``python -m benchmarks.third_party [NAME]...``: an ordinary app behind popular middleware, over uvicorn on the GIL build.

Each middleware with its packages in environments of its own, made once. Answers are compared before
anything is timed.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tomllib
from collections.abc import Sequence
from pathlib import Path

from freelane.bench import Contender, LoadFailed, Request, compare
from freelane.bench.contenders import ContenderFailed
from freelane.bench.progress import Lines
from freelane.bench.runs import Timing

from .environments import Missing, environment
from .peers import ROOT

PACKAGES: dict[str, tuple[str, ...]] = {
    "none": (),
    "correlation_id": ("asgi-correlation-id",),
    "prometheus": ("prometheus-fastapi-instrumentator",),
    "sentry": ("sentry-sdk",),
    "slowapi": ("slowapi",),
    "slowapi_asgi": ("slowapi",),
    "opentelemetry": ("opentelemetry-sdk", "opentelemetry-instrumentation-asgi"),
}
REQUESTS = tuple(Request(path=path, headers=(("authorization", "Bearer letmein"),)) for path in ("/items/7", "/def/7"))
TIMING = Timing(rounds=3, duration=2, warm_up=2)
HERE = f"{sys.version_info.major}.{sys.version_info.minor}{'t' * ('t' in sys.abiflags)}"


def ours(packages: Sequence[str], name: str) -> str:
    """The Python of an environment with these packages and freelane as it stands here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python = environment((HERE,), (*project["dependencies"], "fastapi", *packages), f"{name}-freelane")
    site = next(Path(python).parent.parent.glob("lib/python*/site-packages"))
    for file in Path(sysconfig.get_path("purelib")).glob("__editable__*freelane*"):
        shutil.copy(file, site)
    return python


def contender(server: str, name: str, packages: Sequence[str]) -> Contender:
    target = f"benchmarks.apps.third_party:app_{name}"
    words = {"freelane": ("freelane.cli.main", "run", target), "uvicorn": ("uvicorn", target, "--no-access-log")}[server]
    theirs = ("uvicorn", "uvloop", "httptools", "fastapi", *packages)
    python = ours(packages, name) if server == "freelane" else environment(("3.14", "3.13"), theirs, f"{name}-uvicorn")
    command = ("{python}", "-m", *words, "--host", "{host}", "--port", "{port}", "--log-level", "warning")
    return Contender(server, command, python=python, directory=ROOT, packages=(server, "fastapi", *packages))


def rows(name: str) -> list[str]:
    first, second = (contender(server, name, PACKAGES[name]) for server in ("freelane", "uvicorn"))
    result = compare(None, [second], REQUESTS, subject=first, compare_only=False, each=True, timing=TIMING, progress=Lines())
    if not result.equal:
        return [f"| {name} | the answers differ: {'; '.join(map(str, result.differences))} | | |"]
    found = []
    for scenario in result.scenarios:
        ours_, theirs = (row for row in result.rows if row.scenario == scenario)
        ratio = f"{ours_.rate / theirs.rate:.1f}" if ours_.rate and theirs.rate and not ours_.invalid else f"{ours_.invalid}"
        found.append(f"| {name} | {scenario} | {ours_.rate:,.0f} | {theirs.rate:,.0f} | {ratio} |")
    return found


def main(names: Sequence[str]) -> int:
    unknown = [name for name in names if name not in PACKAGES]
    if unknown:
        print(f"there is no {', '.join(unknown)}; there are {', '.join(PACKAGES)}", file=sys.stderr)
        return 2
    table = ["| middleware | request | freelane | uvicorn | ratio |", "|---|---|---|---|---|"]
    code = 0
    for name in names or PACKAGES:
        try:
            table += rows(name)
        except (Missing, ContenderFailed, LoadFailed) as exc:
            table.append(f"| {name} | not timed: {str(exc).strip().splitlines()[-1]} | | | |")
            code = 1
    print("\n".join(table))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
