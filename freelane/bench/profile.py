"""Where a contender's time goes: the lane of each request by freelane's own word, and stacks by py-spy."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from freelane.bench import load, machine, processes
from freelane.bench.client import ask
from freelane.bench.contenders import Contender
from freelane.bench.load import Generator, Load
from freelane.bench.machine import Placement
from freelane.bench.processes import Running
from freelane.bench.progress import Progress
from freelane.bench.requests import Request
from freelane.bench.session import Plan

SECONDS = 5.0
LANE = "freelane-lane"
HEAD = ("request", "lane", "CPU ms each", "endpoint", "framework", "server and the rest")


def profile(
    contenders: Sequence[Contender], plan: Plan, numbers: Sequence[int], generator: Generator, placement: Placement,
    progress: Progress, *, connections: int, port: int | None, timeout: float,
) -> list[dict[str, Any]]:  # fmt: skip
    """A table for each contender that runs here: each request by itself, apart from the timing."""
    tables = []
    for contender in contenders:
        if contender.url is not None:
            continue
        progress.stage(f"profiling {contender.name}")
        shown = (
            replace(contender, command=(*contender.command, "--show-lanes")) if contender.server == "freelane" else contender
        )
        rows, notes = [], set()
        with processes.serve(shown, cores=placement.server, port=port, timeout=timeout) as running:
            requests = plan.prepare(running)
            for number in numbers:
                row, note = one(running, requests[number], generator, placement, connections)
                rows.append(row)
                notes |= {note} if note else set()
        tables.append({"title": contender.name, "head": HEAD, "rows": rows, "notes": sorted(notes)})
    return tables


def one(
    running: Running, request: Request, generator: Generator, placement: Placement, connections: int
) -> tuple[list[str], str | None]:
    """A request's lane, CPU and shares; why there are no shares."""
    assert running.process is not None
    lane = (ask(running, request).values(LANE) or ["-"])[0]
    asked = Load(running.url, (request,), SECONDS, connections)
    stacks: list[str] = []
    problem: list[str] = []
    spy = threading.Thread(target=spied, args=(running.process.pid, SECONDS - 1, stacks, problem))
    before = machine.tree_cpu(running.process.pid)
    spy.start()
    sample = load.measure(generator, asked, placement.load)
    after = machine.tree_cpu(running.process.pid)
    spy.join()
    running.check(suspicious=bool(sample.errors))
    cpu = f"{(after - before) / sample.requests * 1000:.3f}" if before is not None and after and sample.requests else "?"
    shares = share(stacks, str(running.contender.directory))
    cells = [f"{shares[kind]:.0%}" if shares else "?" for kind in ("endpoint", "framework", "rest")]
    return [request.label, lane, cpu, *cells], problem[0] if problem else None


def program() -> str | None:
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def spied(pid: int, seconds: float, stacks: list[str], problem: list[str]) -> None:
    """Folded stacks of the threads that use the CPU, by py-spy, or why there are none."""
    found = program()
    if found is None:
        problem.append("No shares: py-spy is not here (pip install py-spy).")
        return
    time.sleep(0.5)
    with tempfile.TemporaryDirectory(prefix="freelane-profile-") as scratch:
        out = Path(scratch) / "stacks"
        command = [found, "record", "--subprocesses", "--nonblocking", "-r", "99", "-f", "raw", "-d",
                   str(max(1, round(seconds))), "-o", str(out), "-p", str(pid)]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
            stacks += out.read_text().splitlines() if out.exists() else []
        except (OSError, subprocess.TimeoutExpired) as exc:
            problem.append(f"No shares: py-spy did not work ({type(exc).__name__}).")
            return
    if not stacks:
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error")]
        problem.append(f"No shares: py-spy saw nothing ({lines[0][:200] if lines else 'it printed no reason'}).")


def share(stacks: Sequence[str], directory: str) -> dict[str, float]:
    """Of the sampled time: inside the app's own code or what that calls, inside other Python code, and the rest.

    A stack is the app's where a frame of it lies below the contender's directory and in no environment.
    """
    counts: Counter[str] = Counter()
    for line in stacks:
        frames, _, count = line.rpartition(" ")
        counts[kind_of(frames, directory)] += int(count)
    total = counts.total()
    return {kind: counts[kind] / total for kind in ("endpoint", "framework", "rest")} if total else {}


def kind_of(frames: str, directory: str) -> str:
    """py-spy names files by their path, shortened to what an import would find."""
    files = [frame.rpartition("(")[2].rpartition(":")[0] for frame in frames.split(";") if "(" in frame]
    if any(own(file, directory) for file in files):
        return "endpoint"
    if any(word in frames for word in ("starlette/", "fastapi/", "pydantic/", "anyio/", "litestar/", "falcon/", "blacksheep/")):
        return "framework"
    return "rest"


def own(file: str, directory: str) -> bool:
    if "site-packages" in file or file.startswith("<"):
        return False
    path = Path(file) if file.startswith("/") else Path(directory) / file
    return (
        path.is_relative_to(directory) and path.is_file() and ".venv" not in path.parts and "freelane" not in path.parts[-3:-1]
    )
