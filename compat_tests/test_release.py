"""What a release is made of: the sdist has what a build needs, and its description can be shown."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import free_port
from compat_tests.servers import started

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (".pyx", ".pxd", ".pxi", ".pyi", ".h", ".py")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git knows, so that nothing that lies about gets into a release."""
    copy = tmp_path_factory.mktemp("release") / "source"
    copy.mkdir()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def sdist(source: Path) -> Path:
    program = "from setuptools import build_meta; build_meta.build_sdist('dist')"
    done = subprocess.run([sys.executable, "-c", program], cwd=source, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (made,) = (source / "dist").glob("*.tar.gz")
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


APP = """
import freelane, pathlib
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": str(pathlib.Path(freelane.__file__).parent).encode()})
"""


@pytest.mark.exhaustive
@pytest.mark.thread_unsafe(reason="starts processes")
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the repository")
def test_a_wheel_from_the_sdist_serves_an_app_from_another_folder(source: Path, tmp_path: Path) -> None:
    """As who publishes it, and then as who installs it, each in an environment that has nothing else."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "FREELANE"))}

    def run(*command: str | Path, **options: Any) -> str:
        done = subprocess.run([*map(str, command)], env=environment, text=True, timeout=3600, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, **options)  # fmt: skip
        said: str = done.stdout
        assert done.returncode == 0, said[-6000:]
        return said

    def clean(name: str, *packages: str | Path) -> Path:
        run(sys.executable, "-m", "venv", tmp_path / name)
        python = tmp_path / name / "bin" / "python"
        # Newer releases of what is needed may have no wheel for this interpreter.
        run(python, "-m", "pip", "install", "-q", "--only-binary=:all:", *packages)
        return python

    publisher, dist = clean("publisher", "build", "twine"), tmp_path / "dist"
    run(publisher, "-m", "build", "--outdir", dist, source)
    (archive,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    run(publisher, "-m", "twine", "check", "--strict", archive, wheel)
    user, folder = clean("user", wheel), tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "shop.py").write_text(APP)
    assert "freelane" in run(user, "-m", "freelane", "--version", cwd=folder)
    port = free_port()
    with started([str(user.with_name("freelane")), "run", "shop:app", "--port", str(port)], folder, port, " | ") as server:
        where = server.get("/").read().decode()
        assert Path(where).is_relative_to(tmp_path / "user"), server.output()
        assert server.stop() == 0


# cibuildwheel's releases in the workflow, and what each is to build there on one kind of Linux.
PYTHONS = {"4.3.5": {"cp313", "cp314", "cp314t", "cp315", "cp315t"}, "3.4.1": {"cp313t"}}


@pytest.mark.exhaustive
@pytest.mark.thread_unsafe(reason="starts processes")
def test_the_workflow_builds_a_wheel_for_each_python(tmp_path: Path) -> None:
    """As cibuildwheel reads the configuration, which it refuses for what a release does not know."""
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert set(re.findall(r"pypa/cibuildwheel@v(\S+)", workflow)) == PYTHONS.keys()
    for version, expected in PYTHONS.items():
        step = workflow[workflow.index(f"cibuildwheel@v{version}") :].split("- uses")[0]
        variables = dict(re.findall(r"^ +(CIBW_\w+): (.+)$", step, re.MULTILINE))
        target = tmp_path / version
        install = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), f"cibuildwheel=={version}"]
        subprocess.run(install, check=True, timeout=600)
        command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--platform", "linux", "--archs"]
        for machine in ("x86_64", "aarch64"):
            environment = {**os.environ, **variables, "PYTHONPATH": str(target)}
            done = subprocess.run([*command, machine, str(ROOT)], env=environment, capture_output=True, text=True, timeout=600)
            assert done.returncode == 0, done.stderr
            assert set(done.stdout.split()) == {
                f"{python}-{libc}_{machine}" for python in expected for libc in ("manylinux", "musllinux")
            }
