"""What machine this is and which cores may be used, so that no number stands without its circumstances."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

CAN_PIN = hasattr(os, "sched_setaffinity")


@dataclass(frozen=True)
class Machine:
    cpu: str
    cores: tuple[int, ...]  # the cores this process may run on
    memory_mib: int | None
    system: str
    load_average: float | None  # 1 minute, when the run began: anything near 1 is company

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Placement:
    """Which cores the server and the load generator are pinned to; None leaves a process where it is."""

    server: frozenset[int] | None
    load: frozenset[int] | None
    note: str


def available_cores() -> tuple[int, ...]:
    if CAN_PIN:
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def _first_match(path: str, pattern: str) -> str | None:
    try:
        found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def describe() -> Machine:
    memory_kib = _first_match("/proc/meminfo", r"^MemTotal:\s+(\d+)")
    try:
        load = round(os.getloadavg()[0], 2)
    except OSError:
        load = None
    return Machine(
        cpu=_first_match("/proc/cpuinfo", r"^model name\s*:\s*(.+)$") or platform.processor() or platform.machine(),
        cores=available_cores(),
        memory_mib=int(memory_kib) // 1024 if memory_kib else None,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        load_average=load,
    )


def one_core(cores: tuple[int, ...]) -> Placement:
    """The server on one core, the load on the others."""
    if not CAN_PIN:
        return Placement(None, None, "not pinned: this system has no sched_setaffinity")
    if len(cores) == 1:
        only = frozenset(cores)
        return Placement(only, only, f"server and load share core {cores[0]}, the only one")
    rest = frozenset(cores[1:])
    return Placement(frozenset(cores[:1]), rest, f"server on core {cores[0]}, load on {_names(rest)}")


def all_cores(cores: tuple[int, ...]) -> Placement:
    """The server on every core; the load shares them, since there is nowhere else."""
    if not CAN_PIN:
        return Placement(None, None, "not pinned: this system has no sched_setaffinity")
    every = frozenset(cores)
    return Placement(every, every, f"server and load on {_names(every)}")


def _names(cores: frozenset[int]) -> str:
    return ("core " if len(cores) == 1 else "cores ") + ",".join(map(str, sorted(cores)))


@contextlib.contextmanager
def pinned(cores: frozenset[int] | None) -> Iterator[None]:
    """Children started inside inherit these cores, every thread of theirs included."""
    if cores is None or not CAN_PIN:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _children() -> dict[int, list[int]]:
    tree: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent = _first_match(f"/proc/{entry.name}/status", r"^PPid:\s+(\d+)")
            if parent:
                tree.setdefault(int(parent), []).append(int(entry.name))
    return tree


def tree_rss_mib(root: int) -> float | None:
    """Resident memory of a process and all its descendants, in MiB; None where there is no /proc."""
    if not Path("/proc/self/status").exists():
        return None
    tree, todo, total = _children(), [root], 0
    while todo:
        pid = todo.pop()
        todo += tree.get(pid, ())
        total += int(_first_match(f"/proc/{pid}/status", r"^VmRSS:\s+(\d+)") or 0)
    return round(total / 1024, 1)
