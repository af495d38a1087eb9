"""Fetch Pyre's sdist, swap its import, run its own black-box tests against freelane's adapter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from compat_tests.upstream.suite import ROOT, Run, cache

VERSION = "1.5.0"

# 209 cases, all of which pass on Pyre itself on Python 3.13; the other files test its insides.
FILES = (
    "json_serialization", "request_fields", "testclient", "static_files", "lifecycle", "middleware_hooks", "client_ip",
    "stream_lifecycle", "rpc", "routing_e2e", "cookies_e2e", "cors_e2e", "uploads_e2e", "capi_hygiene", "websocket",
    "async_isolation", "cookies_unit", "mcp", "shared_state",
)  # fmt: skip

# By name, each with its reason.
EXPECTED: dict[str, str] = {}


def fetch() -> Path:
    """The sdist, from the index that pip uses."""
    directory = cache() / "sdists"
    archive = directory / f"pyreframework-{VERSION}.tar.gz"
    if not archive.exists():
        directory.mkdir(parents=True, exist_ok=True)
        # pip asks the build backend, a Rust compiler, for the metadata of what it downloads.
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "metadata")}
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-build-isolation"]
        command += ["--no-binary", "pyreframework", "-d", str(directory), f"pyreframework=={VERSION}"]
        subprocess.run(command, check=True, timeout=300, env=env)
    return archive


def unpack(directory: Path) -> Path:
    """The sdist's root, without the package itself."""
    with tarfile.open(fetch()) as file:
        file.extractall(directory, filter="data")
    root = next(directory.iterdir())
    shutil.rmtree(root / "python")
    return root


def swap(path: Path) -> None:
    """Change the import in a file, and in the scripts that it has as text."""
    path.write_text(path.read_text().replace("pyreframework", "freelane.adapters.pyre"))


class PyreRun(Run):
    """Pyre's tests in a process of their own."""

    def __init__(self, root: Path, report: Path) -> None:
        tests = root / "tests"
        wanted = {f"test_{name}.py" for name in FILES}
        for path in tests.glob("*.py"):
            if path.name not in wanted and path.name != "conftest.py":
                path.unlink()
        (tests / "__init__.py").touch()
        for path in tests.glob("*.py"):
            swap(path)
        self.report = report
        self.log = report.with_suffix(".log")
        command = [sys.executable, "-m", "pytest", "tests", "-q", "-p", "no:cacheprovider"]
        command += ["-p", "compat_tests.upstream.asyncio_marks", "-p", "no:randomly"]
        command += ["-o", "faulthandler_timeout=600", "-o", "faulthandler_exit_on_timeout=true", f"--junitxml={report}"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(root)])}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=root, env=env, stdout=output, stderr=subprocess.STDOUT)
