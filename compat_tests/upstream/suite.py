"""Fetch the test suite that belongs to an installed package, and run it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("FREELANE_CACHE") or Path(home) / "freelane")


@dataclass(frozen=True)
class Suite:
    """A package's own tests, the options of pytest they need here, and what must pass with freelane."""

    package: str
    options: tuple[str, ...]
    expected: Mapping[str, str]
    least: int
    seconds: float


def fetch(package: str, release: str | None = None) -> Path:
    """The sdist of ``release`` of ``package``, or of the installed one, from the index that pip uses."""
    directory = cache() / "sdists"
    release = version(package) if release is None else release
    wanted = f"{package}=={release}"
    archive = directory / f"{package}-{release}.tar.gz"
    if not archive.exists():
        directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", package]
        subprocess.run([*command, "-d", str(directory), wanted], check=True, timeout=1200)
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
    # The files of the failed ones, from the suite's root.
    files: frozenset[str] = frozenset()


class Run:
    """One run of the suite in a process of its own; ``results`` waits for its end."""

    def __init__(
        self, root: Path, report: Path, *options: str, first: Path | None = None, files: Collection[str] = ("tests",)
    ) -> None:
        """``first`` is a directory of packages in front of the installed ones; ``files`` are those that are run."""
        self.report = report
        self.log = report.with_suffix(".log")
        command = [sys.executable, "-m", "pytest", *files, "-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1"]
        command += ["-o", "faulthandler_timeout=600", "-o", "faulthandler_exit_on_timeout=true"]
        command += [f"--junitxml={report}", *options]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, filter(None, (first, ROOT, root))))}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=root, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def stop(self) -> None:
        """Ends what is left of the run, its own processes (xdist) included."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def results(self, timeout: float) -> Results:
        code = self.process.wait(timeout)
        if code not in (0, 1) and not (code == 2 and self.report.exists()):  # 2: some files could not be collected
            raise RuntimeError(f"the suite ended with {code}:\n{self.log.read_text()[-4000:]}")
        passed, failed, files = set(), set(), set()
        for case in ElementTree.parse(self.report).iter("testcase"):
            name = f"{case.get('classname', '').removeprefix('tests.')}::{case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                failed.add(name)
                files.add(case.get("file", "tests"))
            elif case.find("skipped") is None:
                passed.add(name)
        return Results(frozenset(passed), frozenset(failed), frozenset(files))
