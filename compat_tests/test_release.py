"""What a release is made of: the sdist has what a build needs, and its description can be shown."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (".pyx", ".pxd", ".pxi", ".pyi", ".h", ".py")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from a copy of what git knows, so that nothing that lies about gets into it."""
    copy = tmp_path_factory.mktemp("release") / "source"
    copy.mkdir()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    program = "from setuptools import build_meta; build_meta.build_sdist('dist')"
    done = subprocess.run([sys.executable, "-c", program], cwd=copy, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (made,) = (copy / "dist").glob("*.tar.gz")
    return made


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the repository")
def test_the_sdist_has_every_source(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        str(path.relative_to(ROOT))
        for room in ("fastcore", "adapters", "freelane")
        for path in (ROOT / room).rglob("*")
        if path.suffix in SOURCES and "__pycache__" not in path.parts
    }
    assert wanted - there == set()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for extension in project["tool"]["setuptools"]["ext-modules"]:
        assert set(extension["sources"]) <= there


@pytest.mark.skipif(importlib.util.find_spec("twine") is None, reason="twine is not installed")
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the repository")
def test_its_description_can_be_shown(sdist: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(sdist)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout
