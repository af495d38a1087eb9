"""What machine this is, which cores may be used, and who else uses them."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

CAN_PIN = hasattr(os, "sched_setaffinity")
HAS_PROC = Path("/proc/self/stat").exists()
TICK = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True)
class Machine:
    cpu: str
    cores: tuple[int, ...]  # the cores this process may run on
    memory_mib: int | None
    system: str
    load_average: float | None  # 1 minute, when the run began

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Placement:
    """Which cores the server and the load generator are pinned to; None leaves a process where it is."""

    server: frozenset[int] | None
    load: frozenset[int] | None
    note: str

    @property
    def separate(self) -> bool:
        return self.server is not None and self.load is not None and not self.server & self.load


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


def place(cores: tuple[int, ...], count: int) -> Placement:
    """The server on the first ``count`` cores and the load on the rest, or both on all where none is left."""
    if not CAN_PIN:
        return Placement(None, None, "not pinned: this system has no sched_setaffinity; server and load share the cores")
    server, rest = frozenset(cores[:count]), frozenset(cores[count:])
    if not rest:
        return Placement(server, server, f"server and load share {_names(server)}: no core is left for the load")
    return Placement(server, rest, f"server on {_names(server)}, load on {_names(rest)}")


def one_core(cores: tuple[int, ...]) -> Placement:
    return place(cores, 1)


def all_cores(cores: tuple[int, ...]) -> Placement:
    return place(cores, len(cores))


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


@dataclass(frozen=True)
class Usage:
    """One process: CPU seconds with its dead children's, and resident bytes."""

    pid: int
    parent: int
    session: int
    cpu: float
    rss: int


def _read(pid: str) -> Usage | None:
    """proc_pid_stat(5); None for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold anything, so the fields are counted from its end.
    rest = text.rpartition(")")[2].split()
    if rest[0] in "ZX":
        return None
    ticks = sum(map(int, rest[11:15]))
    return Usage(int(pid), int(rest[1]), int(rest[3]), ticks * TICK, int(rest[21]) * PAGE)


def tree(root: int) -> list[Usage]:
    """A process, its descendants, and whatever is in its session; empty where there is no /proc."""
    if not HAS_PROC:
        return []
    every = [usage for entry in os.listdir("/proc") if entry.isdigit() and (usage := _read(entry))]
    children: dict[int, list[Usage]] = {}
    for usage in every:
        children.setdefault(usage.parent, []).append(usage)
    found = {usage.pid: usage for usage in every if usage.pid == root or usage.session == root}
    todo = list(found)
    while todo:
        for child in children.get(todo.pop(), ()):
            if child.pid not in found:
                found[child.pid] = child
                todo.append(child.pid)
    return list(found.values())


def marked(setting: str) -> list[int]:
    """The processes of this user that were started with ``NAME=value`` in their environment."""
    found = []
    for entry in os.listdir("/proc") if HAS_PROC else ():
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if setting.encode() in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                    found.append(int(entry))
    return found


def tree_rss_mib(root: int) -> float | None:
    """Resident memory of a process and all its descendants, in MiB; None where there is no /proc."""
    if not HAS_PROC:
        return None
    return round(sum(usage.rss for usage in tree(root)) / 2**20, 1)


def tree_cpu(root: int) -> float | None:
    """CPU seconds of a process and all its descendants since they began; None where there is no /proc."""
    return sum(usage.cpu for usage in tree(root)) if HAS_PROC else None


def busy(cores: tuple[int, ...]) -> float | None:
    """CPU seconds that all processes used on these cores since boot, and what a hypervisor took (proc_stat(5)).

    Interrupts are left out: on the loopback they are the load's own. None where there is no /proc.
    """
    try:
        text = Path("/proc/stat").read_text()
    except OSError:
        return None
    total = 0.0
    for line in text.splitlines():
        name, *fields = line.split()
        if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, *_ = map(int, fields[:3])
            total += (user + nice + system + int(fields[7])) * TICK
    return total
