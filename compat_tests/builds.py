"""The other build of Python that freelane is tested on."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(command: list[str], timeout: float, **env: str) -> str:
    """What a command prints; it has to succeed."""
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, text=True, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@functools.cache
def python_with_gil() -> str:
    """A Python with the GIL that has freelane and what its tests need; skips the test where there is none."""
    python = run(["bash", "bootstrap.sh", "gil"], 1800).strip().splitlines()
    if not python:
        pytest.skip("no Python with the GIL here")
    return python[-1]
