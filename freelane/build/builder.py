"""Build a project: what is there already, what has changed, the rest in parallel."""

from __future__ import annotations

import ast
import json
import multiprocessing
import os
import shlex
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from freelane.build import place
from freelane.build.cythonize import cython_version
from freelane.build.project import Module, Project
from freelane.build.units import Planner
from freelane.build.worker import Job, build, nothing, read
from freelane.errors import UnavailableError

COMPILER = (
    "Debian and Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc; Alpine: apk add gcc musl-dev; "
    "macOS: xcode-select --install"
)


def needed() -> str:
    """The release of Cython. Raises UnavailableError for what a build needs and is not here, with its cure."""
    try:
        import setuptools  # noqa: F401

        version = cython_version()
    except ImportError as exc:
        raise UnavailableError(f"freelane build needs {exc.name}: pip install 'freelane[build]'") from None
    if tuple(int(part) for part in version.split(".")[:2]) < (3, 3):
        raise UnavailableError(f"freelane build needs Cython 3.3, not {version}: pip install -U 'freelane[build]'")
    compiler = compiler_command()
    if shutil.which(compiler) is None:
        raise UnavailableError(f"freelane build needs a C compiler, and there is no '{compiler}'. {COMPILER}")
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.exists():
        raise UnavailableError(f"freelane build needs Python's headers, and there is no {header}: install python3-dev")
    return version


def compiler_command() -> str:
    """The first word that is no cache of compilers."""
    words = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    return words[0] if words else "cc"


class Classes:
    """Which classes of a project are plain: made by ``type``, of plain bases."""

    def __init__(self, project: Project) -> None:
        self.modules = {module.name: module for module in (*project.modules, *(item for item, _ in project.excluded))}
        self.trees: dict[str, ast.Module | None] = {}
        self.known: dict[str, tuple[frozenset[str], frozenset[str]]] = {}

    def tree(self, name: str) -> ast.Module | None:
        if name not in self.trees:
            try:
                self.trees[name] = ast.parse(self.modules[name].path.read_bytes())
            except (SyntaxError, ValueError, OSError):
                self.trees[name] = None
        return self.trees[name]

    def plain(self, name: str) -> tuple[frozenset[str], frozenset[str]]:
        """The names of plain classes that a module takes from others, and those others."""
        if name in self.known:
            return self.known[name]
        self.known[name] = frozenset(), frozenset()  # while it is looked at
        tree = self.tree(name)
        names: set[str] = set()
        depends: set[str] = set()
        bases = {base.id for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases
                 if isinstance(base, ast.Name)} if tree is not None else set()  # fmt: skip
        for node in ast.walk(tree) if tree is not None else ():
            if not isinstance(node, ast.ImportFrom):
                continue
            for alias in node.names:
                bound = alias.asname or alias.name
                origin = self.origin(self.modules[name], node)
                if bound in bases and origin in self.modules:
                    inside, more = self.plain_in(origin)
                    if alias.name in inside:
                        names.add(bound)
                        depends |= {origin, *more}
        self.known[name] = frozenset(names), frozenset(depends)
        return self.known[name]

    def plain_in(self, name: str) -> tuple[set[str], frozenset[str]]:
        """The plain classes that can be taken from a module."""
        tree = self.tree(name)
        if tree is None:
            return set(), frozenset()
        taken, depends = self.plain(name)
        return Planner(tree, taken).plain, depends

    def origin(self, module: Module, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = module.name.split(".") if module.package else module.name.split(".")[:-1]
        parts = parts[: len(parts) - node.level + 1]
        return ".".join([*parts, *([node.module] if node.module else [])])


def jobs(project: Project, directory: Path, source: Callable[[Module], str] = lambda module: str(module.path)) -> Iterator[Job]:
    classes = Classes(project)
    for module in project.modules:
        plain, depends = classes.plain(module.name)
        shas = tuple((name, place.digest(classes.modules[name].path.read_bytes())) for name in sorted(depends))
        yield Job(module.name, module.path, source(module), module.package, directory, plain, shas, project.everything)


def unchanged(job: Job) -> dict[str, Any] | None:
    """The record of a module that needs no build."""
    record = place.read_record(job.directory, job.name)
    if record is None or record.get("sha256") != place.digest(job.path.read_bytes()) or record.get("source") != job.source:
        return None
    if record.get("everything") != job.everything or record.get("cython") != cython_version():
        return None
    if record.get("depends") != [list(pair) for pair in job.depends]:
        return None
    if record.get("compiled"):
        made = job.directory / record["file"]
        if not made.exists() or made.stat().st_size != record["size"] or not (job.directory / record["code"]).exists():
            return None
    return record


def build_project(
    project: Project, directory: Path, cython: str, tell: Callable[[dict[str, Any], int, int], None],
    source: Callable[[Module], str] = lambda module: str(module.path),
) -> list[dict[str, Any]]:  # fmt: skip
    """The record of every module. ``tell`` gets each that was built, its number and how many there are.

    Raises UnavailableError where the directory cannot be written.
    """
    try:
        with place.locked(directory):
            records: dict[str, dict[str, Any]] = {}
            pending = []
            for job in jobs(project, directory, source):
                record = unchanged(job)
                if record is None:
                    pending.append(job)
                else:
                    records[job.name] = record | {"fresh": False}
            if pending:
                for number, record in enumerate(run(pending), 1):
                    records[record["name"]] = record | {"fresh": True}
                    tell(record, number, len(pending))
            known = {"interpreter": place.interpreter(), "cython": cython, "modules": sorted(records)}
            place.write(directory / "build.json", json.dumps(known, indent=1).encode())
            tidy(directory, records)
    except OSError as exc:
        raise UnavailableError(f"{directory} cannot be written: {exc.strerror or exc}") from None
    return [records[name] for name in sorted(records)]


def run(pending: list[Job]) -> Iterator[dict[str, Any]]:
    """Build the jobs, as many at once as there are cores, the largest first."""
    pending.sort(key=lambda job: -job.path.stat().st_size)
    count = min(len(pending), os.process_cpu_count() or 1)
    if count == 1:
        yield from map(build, pending)
        return
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(build, job) for job in pending]):
            yield done.result()


def tidy(directory: Path, records: dict[str, dict[str, Any]]) -> None:
    """Take away what earlier builds left."""
    keep = {"lock", "build.json"}
    for name, record in records.items():
        keep |= {f"{name}.json", record.get("file", ""), record.get("code", "")}
    for path in directory.iterdir():
        if path.name not in keep:
            path.unlink(missing_ok=True)


def check(project: Project, directory: Path) -> list[dict[str, Any]]:
    """What a build would do, without one."""
    found = []
    for job in jobs(project, directory):
        known = unchanged(job)
        if known is not None:
            found.append(known | {"fresh": False})
            continue
        record: dict[str, Any] = {"name": job.name, "compiled": False, "reason": "", "kept": [], "units": [], "typed": {},
                                  "fresh": True, "seconds": None}  # fmt: skip
        try:
            chosen = Planner(read(job.path.read_bytes(), job.path), job.plain, job.everything).plan
        except (SyntaxError, ValueError) as exc:
            record["reason"] = f"{type(exc).__name__}: {exc}"
        else:
            record["kept"] = chosen.kept
            record["units"] = [unit.qualname for unit in chosen.units]
            record["compiled"] = bool(chosen.units) and all(part.isidentifier() for part in job.name.split("."))
            if not record["compiled"]:
                record["reason"] = nothing(chosen) if not chosen.units else "its name is no identifier"
        found.append(record)
    return found
