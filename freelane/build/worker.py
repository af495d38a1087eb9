"""One module compiled, in a process of the pool: from its source to an extension, and a record of what was done."""

from __future__ import annotations

import ast
import contextlib
import io
import marshal
import os
import re
import shutil
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freelane.build import place
from freelane.build.cythonize import CythonFailed, cython_version, known_builtins, translate
from freelane.build.transform import FACTORY, decorated, lower
from freelane.build.units import Plan, Unit, plan

# The compiler may change nothing that an answer shows: products and sums are rounded one by one, as Python does it.
FLAGS = ["-w", "-g0", "-ffp-contract=off", "-fno-fast-math"]
# How often Cython is asked again, without the functions that it did not take.
ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Job:
    """``source`` is what tracebacks name; ``depends`` are other modules whose classes are known to be plain by name."""

    name: str
    path: Path
    source: str
    package: bool
    directory: Path
    plain: frozenset[str]
    depends: tuple[tuple[str, str], ...]
    everything: bool = False


class CompilerFailed(Exception):
    """The C compiler does not take what Cython made. ``units`` are those that it names."""

    def __init__(self, message: str, units: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.units = units


def build(job: Job) -> dict[str, Any]:
    """Compile a module and write its record, which is returned. Raises OSError where nothing can be written."""
    began = time.monotonic()
    data = job.path.read_bytes()
    record: dict[str, Any] = {
        "name": job.name, "sha256": place.digest(data), "source": job.source, "depends": [list(pair) for pair in job.depends],
        "cython": cython_version(), "everything": job.everything,
        "compiled": False, "reason": "", "units": [], "kept": [], "typed": {},
    }  # fmt: skip
    try:
        record |= compile_module(job, data)
    except (SyntaxError, ValueError) as exc:
        line = f", line {exc.lineno}" if isinstance(exc, SyntaxError) and exc.lineno else ""
        record["reason"] = f"{type(exc).__name__}: {exc.args[0] if exc.args else exc}{line}"
    except (CythonFailed, CompilerFailed, RecursionError) as exc:
        record["reason"] = str(exc) or type(exc).__name__
    record["seconds"] = round(time.monotonic() - began, 2)
    place.write_record(job.directory, job.name, record)
    return record


def read(data: bytes, path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the import shows them
        tree = ast.parse(data, str(path))
        compile(data, str(path), "exec", dont_inherit=True)  # what only the compiler finds
    return tree


def described(units: list[Unit], typed: dict[int, str]) -> dict[str, str]:
    return {unit.qualname: typed[unit.number] for unit in units if unit.number in typed}


def compile_module(job: Job, data: bytes) -> dict[str, Any]:
    if not all(part.isidentifier() for part in job.name.split(".")):
        return {"reason": "its name is no identifier"}
    tree = read(data, job.path)
    chosen = plan(tree, job.plain, job.everything)
    if not chosen.units:
        return {"reason": nothing(chosen), "kept": chosen.kept}
    with tempfile.TemporaryDirectory(prefix="freelane-build-") as directory:
        work = Path(directory)
        made, chosen, typed = extension_of(job, tree, chosen, work)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(decorated(tree, chosen), job.source, "exec", dont_inherit=True)
        stem = f"{job.name}-{place.digest(data)[:12]}"
        shutil.copyfile(made, job.directory / f".{stem}.{os.getpid()}")
        os.replace(job.directory / f".{stem}.{os.getpid()}", job.directory / f"{stem}{place.SUFFIX}")
        place.write(job.directory / f"{stem}.code", marshal.dumps(code))
        return {
            "compiled": True, "file": f"{stem}{place.SUFFIX}", "size": made.stat().st_size, "code": f"{stem}.code",
            "nested": any("<locals>" in unit.qualname for unit in chosen.units),
            "units": [unit.qualname for unit in chosen.units], "kept": chosen.kept,
            "typed": described(chosen.units, typed),
        }  # fmt: skip


def nothing(chosen: Plan) -> str:
    if not chosen.kept:
        return "has no functions"
    name, line, reason = chosen.kept[0]
    more = f", and {len(chosen.kept) - 1} more" if len(chosen.kept) > 1 else ""
    return f"{name} (line {line}): {reason}{more}"


def extension_of(job: Job, tree: ast.Module, chosen: Plan, work: Path) -> tuple[Path, Plan, dict[int, str]]:
    """The extension, without the functions that the C compiler does not take either."""
    for _ in range(ATTEMPTS):
        c_file, chosen, typed = translated(job, tree, chosen, work)
        try:
            return extension(c_file, job.name, work), chosen, typed
        except CompilerFailed as exc:
            if not exc.units or len(exc.units) == len(chosen.units):
                raise
            chosen = chosen.without(exc.units, str(exc))
    raise CompilerFailed("the C compiler refuses too many of its functions")


def translated(job: Job, tree: ast.Module, chosen: Plan, work: Path) -> tuple[Path, Plan, dict[int, str]]:
    """The file of C, without the functions that Cython does not take."""
    text = work / ("__init__.py" if job.package else "module.py")
    for _ in range(ATTEMPTS):
        lowered = lower(tree, chosen, known_builtins())
        text.write_text(lowered.text, "utf-8")
        names = {unit.number: unit.qualname for unit in chosen.units}
        try:
            return translate(text, job.name, job.source, lowered.positions, names), chosen, lowered.typed
        except CythonFailed as exc:
            refused = [unit.number for unit in chosen.units if any(covers(unit.function, line) for line in exc.lines)]
            if not refused or len(refused) == len(chosen.units):
                raise
            chosen = chosen.without(refused, str(exc))
    raise CythonFailed("Cython refuses too many of its functions", ())


def covers(function: ast.FunctionDef | ast.AsyncFunctionDef, line: int) -> bool:
    first = min([function.lineno, *(item.lineno for item in function.decorator_list)])
    return first <= line <= (function.end_lineno or function.lineno)


def extension(c_file: Path, name: str, work: Path) -> Path:
    """Compile and link. Raises CompilerFailed with what the compiler says."""
    from setuptools import Distribution, Extension

    optimise = [] if os.environ.get("CFLAGS") else ["-O2"]
    made = Extension(name, [str(c_file)], extra_compile_args=[*FLAGS, *optimise])
    command = Distribution({"name": "freelane-build", "ext_modules": [made]}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(work / "lib"), str(work / "temp")
    said = io.StringIO()
    with quiet(work / "said"), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            command.ensure_finalized()
            command.run()
        except Exception as exc:  # of setuptools or of the distutils in it
            lines = (work / "said").read_text(errors="replace").splitlines()
            errors = [line for line in lines if "error:" in line]
            raise CompilerFailed(
                f"the C compiler: {errors[0].partition('error:')[2].strip() if errors else exc}",
                tuple(units_in(c_file, errors)),
            ) from None
    return Path(command.get_ext_fullpath(name))


def units_in(c_file: Path, errors: list[str]) -> set[int]:
    """The units that lines of C belong to."""
    text = c_file.read_text(errors="replace").splitlines()
    found = set()
    for error in errors:
        place_in = re.match(r"[^:]*:(\d+):", error)
        for line in reversed(text[: int(place_in[1])] if place_in else []):
            if unit := re.match(rf"static .*{FACTORY}(\d+)_", line):
                found.add(int(unit[1]))
                break
    return found


@contextlib.contextmanager
def quiet(path: Path) -> Any:
    """What the compiler prints goes to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with path.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            for number, handle in enumerate(kept, 1):
                os.dup2(handle, number)
                os.close(handle)
