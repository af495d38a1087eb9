"""What a build needs, for ``freelane check``: each part, what is here of it, and the cure where that is not enough."""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

from freelane.build.builder import COMPILER, compiler_command, needed
from freelane.errors import UnavailableError


def parts() -> list[tuple[str, str, str]]:
    """(part, what is here, cure or "")."""
    free = "t" in sys.abiflags
    compiler = shutil.which(compiler_command())
    return [
        ("interpreter", f"CPython {sys.version.split()[0]}", ""),
        ("free threading", "yes" if free else "no", "" if free else "an interpreter named python3.13t or python3.14t"),
        ("Granian", *installed("granian", "pip install granian")),
        ("Cython", *installed("cython", "pip install 'freelane[build]'")),
        ("C compiler", compiler or f"no '{compiler_command()}'", "" if compiler else COMPILER),
    ]


def installed(name: str, cure: str) -> tuple[str, str]:
    try:
        return version(name), ""
    except PackageNotFoundError:
        return "not installed", cure


def obstacle() -> str | None:
    """Why a build cannot work here; None where it can."""
    try:
        needed()
    except UnavailableError as exc:
        return str(exc)
    return None
