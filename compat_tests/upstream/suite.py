"""Fetch the test suite that belongs to an installed package, and run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("FREELANE_CACHE") or Path(home) / "freelane")


def fetch(package: str) -> Path:
    """The sdist of the installed version of ``package``, from the index that pip uses."""
    directory = cache() / "sdists"
    wanted = f"{package}=={version(package)}"
    archive = directory / f"{package}-{version(package)}.tar.gz"
    if not archive.exists():
        directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", package]
        subprocess.run([*command, "-d", str(directory), wanted], check=True, timeout=300)
    return archive


def unpack(archive: Path, package: str, directory: Path) -> Path:
    """The sdist's root without its copy of the package, so that the installed one is tested."""
    with tarfile.open(archive) as file:
        file.extractall(directory, filter="data")
    root = next(directory.iterdir())
    shutil.rmtree(root / package)
    return root


@dataclass(frozen=True)
class Results:
    passed: frozenset[str]
    failed: frozenset[str]


class Run:
    """One run of the suite in a process of its own; ``results`` waits for its end."""

    def __init__(self, root: Path, report: Path, *options: str) -> None:
        self.report = report
        self.log = report.with_suffix(".log")
        # Tests that are not ours to parametrise run once, on asyncio.
        command = [sys.executable, "-m", "pytest", "tests", "-q", "-k", "asyncio", "-p", "no:cacheprovider"]
        command += ["--ignore=tests/middleware/test_opentelemetry.py"]
        command += ["-o", "faulthandler_timeout=60", "-o", "faulthandler_exit_on_timeout=true"]
        command += [f"--junitxml={report}", *options]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(root)])}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=root, env=env, stdout=output, stderr=subprocess.STDOUT)

    def results(self, timeout: float) -> Results:
        try:
            code = self.process.wait(timeout)
        finally:
            self.process.kill()
        if code not in (0, 1):
            raise RuntimeError(f"the suite ended with {code}:\n{self.log.read_text()[-4000:]}")
        passed, failed = set(), set()
        for case in ElementTree.parse(self.report).iter("testcase"):
            name = f"{case.get('classname', '').removeprefix('tests.')}::{case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                failed.add(name)
            elif case.find("skipped") is None:
                passed.add(name)
        return Results(frozenset(passed), frozenset(failed))
