"""A report kept from one start to the next, under everything that it was found from.

That is the contents of the app's own modules and of the files that were read while they were
imported, the other modules as they lie on the disk, who imported whom, the environment, and
what was asked for. Only where all of it is the same is nothing followed again.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from freelane.fastcore import remembered
from freelane.fastcore.version import __version__
from freelane.gil_lane.detect.import_graph import FOREIGN, ImportGraph, file_of, find, is_own

# What differs from one start to the next and means nothing to an app.
PASSING = {
    "_", "COLUMNS", "INVOCATION_ID", "JOURNAL_STREAM", "LINES", "MAINPID", "OLDPWD", "SHLVL", "SSH_CLIENT", "SSH_CONNECTION",
    "SSH_TTY", "SYSTEMD_EXEC_PID", "TERM_SESSION_ID", "WINDOWID", "XDG_SESSION_ID",
}  # fmt: skip
# A file that is bigger is known by its size and time.
LARGE = 1 << 22
# What is there is no file, though it may look like one.
KERNEL = ("/proc/", "/sys/", "/dev/")


class NotingOpen:
    """``open`` with a memory. As the built-in one, and other than a function, it is no method of a class that keeps it."""

    def __init__(self, original: Any, paths: set[str]) -> None:
        self.original = original
        self.paths = paths

    def __call__(self, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if isinstance(file, (str, os.PathLike)) and not {*mode} & {*"wax"}:
            self.paths.add(os.path.abspath(os.fsdecode(file)))
        return self.original(file, mode, *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


class ReadFiles:
    """Notes the files that Python code opens for reading, between ``install`` and ``uninstall``."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.original: Any = io.open
        self.noting = NotingOpen(self.original, self.paths)

    def install(self) -> None:
        for module in (builtins, io):
            module.open = self.noting  # type: ignore[attr-defined]

    def uninstall(self) -> None:
        for module in (builtins, io):
            if module.open is self.noting:  # else the app has put something in its place
                module.open = self.original  # type: ignore[attr-defined]


def key(graph: ImportGraph, files: ReadFiles, asked: Iterable[Any]) -> str:
    """The name of what there is to be found; ``asked`` are the settings that it depends on."""
    return remembered.digest(*(part.encode("utf-8", "surrogateescape") for part in words(graph, files, asked)))


def words(graph: ImportGraph, files: ReadFiles, asked: Iterable[Any]) -> Iterator[str]:
    yield f"{__version__} {sys.version} {sys.flags} {[*asked]!r} {sys.path}"
    # A package that comes or goes changes its directory.
    yield from (as_it_lies(path) for path in sys.path if f"{path}/" in FOREIGN)
    yield from (as_it_lies(str(path)) for path in sorted(Path(__file__).parent.glob("*.py")))
    for name in sorted(sys.modules):
        if not is_given(name):
            file = file_of(name)
            yield f"{name} {contents(file) if is_own(name) else as_it_lies(file) if file else ''}"
    for importer, targets in sorted(graph.edges.items()):
        if not is_given(importer):
            yield f"{importer} {sorted(targets)}"
    yield from (f"{path} {contents(path)}" for path in sorted(files.paths))
    yield from sorted(f"{name}={value}" for name, value in os.environ.items() if name not in PASSING)


def is_given(module: str) -> bool:
    """Whether a module is Python's or ours, of which a first start may import more than the next."""
    top = module.partition(".")[0]
    return top == "freelane" or top in sys.stdlib_module_names


def as_it_lies(path: str) -> str:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return "none"
    return f"{path} {found.st_size} {found.st_mtime_ns}"


def contents(path: str) -> str:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode) or path.startswith(KERNEL):
            return "there"
        if found.st_size > LARGE:
            return as_it_lies(path)
        with open(path, "rb") as file:
            return remembered.digest(file.read())
    except (OSError, ValueError):
        return "none"


def signature(table: Any) -> str:
    """What the routes of a table are, by name."""
    found = [[entry.kind, entry.methods, entry.path, [name_of(part) for part in entry.code]] for entry in table.entries]
    state = sorted((name, name_of(value)) for name, value in table.state.items())
    parts = [found, *([name_of(part) for part in group] for group in (table.everywhere, table.startup)), state]
    return remembered.digest(json.dumps(parts, default=str).encode())


def name_of(value: Any) -> str:
    kind = type(value)
    own = getattr(value, "__qualname__", None) if kind.__module__ == "builtins" else None
    module = getattr(value, "__module__", None)
    return f"{module if own else kind.__module__}.{own or kind.__qualname__}"


def recall(name: str) -> dict[str, Any] | None:
    """What was kept, unless a module of the app's that it was found from and nobody imports at once has changed."""
    text = remembered.recall("reports", name)
    if text is None:
        return None
    try:
        found: dict[str, Any] = json.loads(text)
        looked = found["looked"]
    except (ValueError, KeyError, TypeError):
        return None
    for module, (file, there) in looked.items():
        spec = find(module)
        if (spec.origin or "" if spec is not None else "") != file or there != contents(file):
            return None
    return found


def keep(name: str, looked: dict[str, str], **found: Any) -> None:
    there = {module: (file, contents(file)) for module, file in looked.items()}
    remembered.keep("reports", name, json.dumps({**found, "looked": there}))
