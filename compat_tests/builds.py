"""The other build of Python that freelane is tested on."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


# A wheel of what lies compiled in the tree, at the directory that is its argument: the sources are compiled once.
IN_PLACE_WHEEL = """
import pathlib, shutil, sys
from setuptools import setup
from setuptools.command.build_ext import build_ext

class Taken(build_ext):
    def build_extension(self, ext):
        target = pathlib.Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pathlib.Path(*ext.name.removeprefix("freelane.").split(".")).with_name(target.name), target)

to = pathlib.Path(sys.argv[1])
options = ["egg_info", "--egg-base", str(to), "build", "--build-base", str(to / "build")]
setup(cmdclass={"build_ext": Taken}, script_args=["-q", *options, "bdist_wheel", "--dist-dir", str(to), "--bdist-dir", str(to / "wheel")])
"""


def run(command: list[str], timeout: float, **env: str) -> str:
    """What a command prints; it has to succeed."""
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, text=True, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@functools.cache
def find_python_with_gil() -> str | None:
    """A Python with the GIL that has freelane and what its tests need; None where there is none."""
    python = run(["bash", "bootstrap.sh", "gil"], 1800).strip().splitlines()
    return python[-1] if python else None


def python_with_gil() -> str:
    """The same; skips the test where there is none."""
    return find_python_with_gil() or pytest.skip("no Python with the GIL here")
