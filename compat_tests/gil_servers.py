"""Servers for the tests of the gil lane: the app, its extension, and who runs below the server."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compat_tests.servers import Server, running

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


def ask(server: Server, path: str, method: str = "GET", body: bytes | None = None, timeout: float = 120,
        **headers: str) -> Answer:  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, [(n.lower(), v) for n, v in response.getheaders()], response.read())
    finally:
        connection.close()


def children(pid: int) -> list[int]:
    """Processes below ``pid`` (proc(5))."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def lane_server(extension: Path, directory: Path, *options: str, app: str = "gil_app:app") -> Iterator[Server]:
    """The tests' app under ``freelane run``, its lane ready."""
    shutil.copy(HERE / "gil_app.py", directory)
    for file in extension.glob("needsgil.*.so"):
        shutil.copy(file, directory)
    # An unmarked route may be what the test is about: on a build with the GIL nothing is found by itself.
    names = [f"--gil=gil_app:{name}" for name in ("answer", "answer_def", "number", "spin", "segfault", "abort", "eat")]
    with running(directory, app, *(names if "--gil-auto" not in options else ()), *options) as server:
        lanes = [pid for pid in children(server.process.pid)]
        try:
            yield server
        finally:
            lanes += children(server.process.pid)
            server.process.kill()
            wait_until(lambda: not any(alive(pid) for pid in lanes))


def pids(server: Server) -> list[int]:
    """The lane processes."""
    return [pid for pid in children(server.process.pid) if "gil_lane" in command_of(pid)]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return not alive(pid)
