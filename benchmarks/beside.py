"""An app under freelane and under uvicorn on the GIL build, each in an environment that has what the app needs."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from freelane.bench import Contender, LoadFailed, Request, compare
from freelane.bench.contenders import ContenderFailed
from freelane.bench.progress import Lines
from freelane.bench.runs import Timing

from .environments import Missing, environment
from .peers import ROOT

HEAD = "| app | request | freelane | uvicorn | ratio |\n|---|---|---|---|---|"
HERE = f"{sys.version_info.major}.{sys.version_info.minor}{'t' * ('free-threading build' in sys.version)}"
SERVERS = {
    "freelane": ("freelane.cli.main", "run", "{app}"),
    "uvicorn": ("uvicorn", "{app}", "--no-access-log"),
}


def ours(packages: Sequence[str], name: str) -> str:
    """The Python of an environment with these packages and freelane as it stands here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python = environment((HERE,), (*project["dependencies"], "fastapi", *packages), f"{name}-freelane")
    site = next(Path(python).parent.parent.glob("lib/python*/site-packages"))
    for file in Path(sysconfig.get_path("purelib")).glob("__editable__*freelane*"):
        shutil.copy(file, site)
    return python


def contender(server: str, app: str, name: str, packages: Sequence[str], variables: Mapping[str, str]) -> Contender:
    words = (word.replace("{app}", app) for word in SERVERS[server])
    theirs = ("uvicorn", "uvloop", "httptools", "fastapi", *packages)
    python = ours(packages, name) if server == "freelane" else environment(("3.14", "3.13"), theirs, f"{name}-uvicorn")
    command = ("{python}", "-m", *words, "--host", "{host}", "--port", "{port}", "--log-level", "warning")
    return Contender(server, command, python=python, directory=ROOT, environment=variables, packages=(server, "fastapi"))


def rows(
    app: str,
    name: str,
    packages: Sequence[str],
    requests: Sequence[Request],
    timing: Timing,
    variables: Mapping[str, Mapping[str, str]] | None = None,
) -> list[str]:
    """A row for each request, or the one that says how the answers differ. ``variables`` are each server's environment.

    Raises Missing, ContenderFailed or LoadFailed.
    """
    first, second = (contender(server, app, name, packages, (variables or {}).get(server, {})) for server in SERVERS)
    result = compare(None, [second], requests, subject=first, compare_only=False, each=True, timing=timing, progress=Lines())
    if not result.equal:
        return [f"| {name} | the answers differ: {'; '.join(map(str, result.differences))} | | | |"]
    found = []
    for scenario in result.scenarios:
        here, there = (row for row in result.rows if row.scenario == scenario)
        wrong = here.invalid or there.invalid
        ratio = wrong if wrong or not here.rate or not there.rate else f"{here.rate / there.rate:.1f}"
        found.append(f"| {name} | {scenario} | {here.rate or 0:,.0f} | {there.rate or 0:,.0f} | {ratio} |")
    return found


def print_rows(
    app: str,
    name: str,
    packages: Sequence[str],
    requests: Sequence[Request],
    timing: Timing,
    variables: Mapping[str, Mapping[str, str]] | None = None,
) -> int:
    """Print ``rows``, or one that says why there are none; returns the exit code."""
    try:
        print("\n".join(rows(app, name, packages, requests, timing, variables)), flush=True)
    except (Missing, ContenderFailed, LoadFailed) as exc:
        print(f"| {name} | not timed: {str(exc).strip().splitlines()[-1]} | | | |", flush=True)
        return 1
    return 0
