"""The oldest FastAPI and Starlette that freelane compiles; the newest are those of every other test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thread_unsafe(reason="starts processes")

ROOT = Path(__file__).resolve().parents[1]
# Parameters that are models came with 0.115: what makes apps up for the properties makes them.
CHOSEN = {
    ("0.110.0", "0.36.3"): ["compat_tests/test_fastapi_bodies.py", "compat_tests/test_bridge.py"],
    ("0.115.0", "0.38.6"): ["compat_tests/test_fastapi_properties.py::test_same_answers"],
}


def run(command: list[str], **env: str) -> str:
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, text=True, timeout=1800,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout.strip()


def directory(versions: tuple[str, str]) -> str:
    return run(["bash", "bootstrap.sh", "release", *versions]).splitlines()[-1]


COMPILED = """
import fastapi, starlette
from fastapi import FastAPI
from freelane.adapters.registry import adapter_of
app = FastAPI()
app.get("/")(lambda: 1)
print(fastapi.__version__, starlette.__version__, [route.compiled for route in adapter_of(app).describe(app)][-1])
"""


@pytest.mark.parametrize("versions", CHOSEN)
def test_the_older_frameworks_are_in_force_and_compiled(versions: tuple[str, str]) -> None:
    assert run([sys.executable, "-W", "ignore", "-c", COMPILED], PYTHONPATH=directory(versions)) == " ".join(
        [*versions, "True"]
    )


@pytest.mark.parametrize("versions", CHOSEN)
def test_chosen_tests_pass_on_older_frameworks(versions: tuple[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CHOSEN[versions]]
    assert " passed" in run(command, PYTHONPATH=directory(versions))


@pytest.mark.parametrize("version", ["4.0.0", "4.9.0", "4.10.0"])
def test_def_endpoints_call_back_into_the_loop_on_older_anyio(version: str) -> None:
    directory = run(["bash", "bootstrap.sh", "pinned", f"anyio=={version}"]).splitlines()[-1]
    code = "import importlib.metadata as m; print(m.version('anyio'))"
    assert run([sys.executable, "-c", code], PYTHONPATH=directory) == version
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "from_thread"]
    assert "2 passed" in run([*command, "compat_tests/test_starlette_adapter.py"], PYTHONPATH=directory)
