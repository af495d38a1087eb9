"""Start ``freelane run`` for a test, on loopback, and stop it by pid."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.servers import free_port

COMMAND = [str(Path(sys.executable).parent / "freelane"), "run"]


class Server:
    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def get(self, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("GET", path)
        return connection.getresponse()

    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, words: str, timeout: float = 180) -> None:
        """Until the log has ``words`` or the process has ended."""
        deadline = time.monotonic() + timeout
        while words not in self.output() and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 120) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout)


@contextmanager
def started(command: Sequence[str], directory: Path, port: int, ready: str) -> Iterator[Server]:
    """The server of ``command``, once its log has ``ready``."""
    log = directory / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=directory, text=True, stdout=output, stderr=subprocess.STDOUT)
    server = Server(process, port, log)
    try:
        server.wait_for(ready)
        time.sleep(0.1)
        yield server
    finally:
        process.kill()
        process.wait()


@contextmanager
def running(directory: Path, target: str, *options: str, uds: str | None = None) -> Iterator[Server]:
    """``freelane run target`` in ``directory``."""
    port = free_port()
    where = ["--uds", uds] if uds else ["--port", str(port)]
    with started([*COMMAND, target, *where, *options], directory, port, " | ") as server:
        yield server


@contextmanager
def beside_uvicorn(directories: pytest.TempPathFactory, module: str, source: str) -> Iterator[tuple[Server, Server]]:
    """uvicorn on this interpreter, whose limits depend on its version, and freelane; each serves ``app`` of the source."""
    ours, theirs = directories.mktemp("freelane"), directories.mktemp("uvicorn")
    for directory in (ours, theirs):
        (directory / f"{module}.py").write_text(source)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"{module}:app", "--port", str(port)]
    with started(command, theirs, port, "running on") as reference, running(ours, f"{module}:app") as tested:
        yield reference, tested
