"""The oldest FastAPI and Starlette that freelane serves; the newest are those of every other test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thread_unsafe(reason="starts processes")

ROOT = Path(__file__).resolve().parents[1]
SERVED, COMPILED = "oldest", "oldest-compiled"
CHOSEN = [
    "compat_tests/test_fastapi_properties.py::test_same_answers",
    "compat_tests/test_fastapi_bodies.py",
    "compat_tests/test_bridge.py",
]


def run(command: list[str], **env: str) -> str:
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, text=True, timeout=1800,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout.strip()


def directory(which: str) -> str:
    return run(["bash", "bootstrap.sh", which]).splitlines()[-1]


@pytest.mark.parametrize(("which", "versions"), [(SERVED, "0.121.3 0.49.3"), (COMPILED, "0.161.0 0.49.3")])
def test_the_oldest_frameworks_are_in_force(which: str, versions: str) -> None:
    code = "import fastapi, starlette; print(fastapi.__version__, starlette.__version__)"
    assert run([sys.executable, "-c", code], PYTHONPATH=directory(which)) == versions


@pytest.mark.parametrize(("which", "more"), [(SERVED, []), (COMPILED, ["compat_tests/test_compiled.py"])])
def test_chosen_tests_pass_on_the_oldest_frameworks(which: str, more: list[str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CHOSEN, *more]
    assert " passed" in run(command, PYTHONPATH=directory(which))
