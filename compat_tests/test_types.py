"""The types that ``py.typed`` promises: the package and its tests by mypy, the stubs by what was compiled."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from compat_tests.builds import find_python_with_gil

pytestmark = [
    pytest.mark.thread_unsafe(reason="starts processes"),
    pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy has no wheel for this interpreter"),
]

ROOT = Path(__file__).resolve().parents[1]

# What the stubs do not need to be read: it is checked with the package, whose cache is left alone.
STUBS_ALONE = f"""\
[mypy]
cache_dir = {os.devnull}
[mypy-freelane,freelane.adapters.*,freelane.gil_lane.*,freelane.server.runtime,granian.*,starlette.*,fastapi.*]
follow_imports = skip
[mypy-freelane.adapters.pyre._request]
follow_imports = normal
"""


def run(*command: str, python: str = sys.executable) -> str:
    done = subprocess.run([python, "-m", *command], cwd=ROOT, text=True, timeout=1800,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def test_package_and_tests_are_typed() -> None:
    # mypy itself is compiled for builds with the GIL only, and takes minutes where it is not.
    assert "no issues found" in run("mypy", python=find_python_with_gil() or sys.executable)


def test_stubs_say_what_was_compiled(tmp_path: Path) -> None:
    config = tmp_path / "mypy.ini"
    config.write_text(STUBS_ALONE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    modules = [module["name"] for module in project["tool"]["setuptools"]["ext-modules"]]
    # Methods that only this package calls may be left out of a stub.
    told = run("mypy.stubtest", "--ignore-missing-stub", "--mypy-config-file", str(config), *modules)
    assert f"no issues found in {len(modules)} modules" in told
