"""Starting and stopping the servers: free port, bounded waits, stopped by pid whatever happens."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .machine import pinned

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
FRAMEWORKS = ("starlette", "fastapi", "pydantic", "anyio")
START_SECONDS = 180.0
STOP_SECONDS = 60.0


class ServerFailed(Exception):
    """A server did not start or did not answer; the message carries what it printed."""


class PeersMissing(Exception):
    """The environment of the servers we compare with cannot be had; the message says why."""


@dataclass(frozen=True)
class Launch:
    """What a server is asked for, in no server's own words."""

    target: str  # module:app
    port: int
    workers: int = 1
    root_path: str = ""
    show_lanes: bool = False
    transport: str = "auto"
    log_level: str = "warning"


@dataclass(frozen=True)
class Server:
    name: str
    python: Path
    command: Callable[[Launch], list[str]]
    packages: tuple[str, ...]  # whose versions belong in a report


@dataclass(frozen=True)
class Running:
    server: Server
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def output(self, last_lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-last_lines:])


def free_port() -> int:
    """A port that nobody listens on, outside the range that the kernel gives to clients meanwhile (ip(7))."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


def split_target(target: str) -> tuple[str, Path]:
    """``module:app`` or ``path/file.py:app`` as (module:app, the directory to import it from)."""
    module, _, attribute = target.partition(":")
    attribute = attribute or "app"
    if not module.endswith(".py"):
        return f"{module}:{attribute}", Path.cwd()
    file = Path(module).resolve()
    top = file.parent
    while (top / "__init__.py").exists():
        top = top.parent
    return f"{'.'.join(file.relative_to(top).with_suffix('').parts)}:{attribute}", top


def freelane(*options: str) -> Server:
    python = Path(sys.executable)

    def command(launch: Launch) -> list[str]:
        made = [str(python.parent / "freelane"), "run", launch.target, "--host", HOST, "--port", str(launch.port)]
        made += ["--workers", str(launch.workers), "--log-level", launch.log_level]
        made += ["--transport", launch.transport, *options]
        if launch.root_path:
            made += ["--root-path", launch.root_path]
        if launch.show_lanes:
            made.append("--show-lanes")
        if ".pyre.bench:" in launch.target:
            made += ["--alias", "pyreframework"]
        return made

    return Server("freelane", python, command, ("freelane", "granian", *FRAMEWORKS))


def granian_asgi() -> Server:
    """Stock Granian in the same environment: what freelane stands on."""
    python = Path(sys.executable)

    def command(launch: Launch) -> list[str]:
        made = [str(python.parent / "granian"), "--interface", "asgi", launch.target, "--host", HOST]
        made += ["--port", str(launch.port), "--workers", str(launch.workers), "--log-level", "warning"]
        if launch.root_path:
            made += ["--url-path-prefix", launch.root_path]
        return made

    return Server("granian-asgi", python, command, ("granian", *FRAMEWORKS))


def uvicorn(python: Path) -> Server:
    def command(launch: Launch) -> list[str]:
        made = [str(python), "-m", "uvicorn", launch.target, "--host", HOST, "--port", str(launch.port)]
        made += ["--log-level", "warning", "--no-access-log"]
        if launch.workers > 1:
            made += ["--workers", str(launch.workers)]
        if launch.root_path:
            made += ["--root-path", launch.root_path]
        return made

    return Server("uvicorn", python, command, ("uvicorn", "uvloop", "httptools", "websockets", *FRAMEWORKS))


def subject() -> Server:
    """The server under test: freelane, or another of ours named by FREELANE_SUBJECT."""
    known: dict[str, Callable[[], Server]] = {"freelane": freelane, "granian-asgi": granian_asgi}
    name = os.environ.get("FREELANE_SUBJECT", DEFAULT_SUBJECT)
    if name not in known:
        raise ServerFailed(f"FREELANE_SUBJECT={name!r} is not one of {', '.join(known)}")
    return known[name]()


DEFAULT_SUBJECT = "freelane"


def peers_python() -> Path:
    """The Python that has uvicorn: FREELANE_PEERS_PYTHON, or what ``./bootstrap.sh peers`` prints."""
    named = os.environ.get("FREELANE_PEERS_PYTHON")
    if named:
        if not Path(named).exists():
            raise PeersMissing(f"FREELANE_PEERS_PYTHON={named} does not exist")
        return Path(named)
    return _bootstrap_peers()


@functools.cache
def _bootstrap_peers() -> Path:
    script = ROOT / "bootstrap.sh"
    if not script.exists():
        raise PeersMissing("there is no bootstrap.sh here to make it; set FREELANE_PEERS_PYTHON")
    try:
        made = subprocess.run([str(script), "peers"], cwd=ROOT, capture_output=True, text=True, timeout=1200)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeersMissing(f"./bootstrap.sh peers: {error}") from error
    printed = made.stdout.strip().splitlines()
    if made.returncode != 0 or not printed:
        raise PeersMissing(f"./bootstrap.sh peers ended with {made.returncode}:\n{made.stderr.strip()[-2000:]}")
    return Path(printed[-1])


def versions(server: Server) -> dict[str, str]:
    """The interpreter and the packages a server runs on, asked of its own Python."""
    code = (
        "import importlib.metadata as m, json, sys, sysconfig\n"
        "out = {'python': sys.version.split(' ')[0]}\n"
        "out['build'] = 'free-threaded' if sysconfig.get_config_var('Py_GIL_DISABLED') else 'GIL'\n"
        "for name in sys.argv[1:]:\n"
        "    try: out[name] = m.version(name)\n"
        "    except m.PackageNotFoundError: out[name] = 'not installed'\n"
        "print(json.dumps(out))"
    )
    asked = subprocess.run(
        [str(server.python), "-c", code, *server.packages], capture_output=True, text=True, timeout=60, check=True
    )
    found: dict[str, str] = json.loads(asked.stdout)
    return found


@contextlib.contextmanager
def serve(
    server: Server,
    target: str,
    *,
    cores: frozenset[int] | None = None,
    workers: int = 1,
    root_path: str = "",
    show_lanes: bool = False,
    transport: str = "auto",
    log_level: str = "warning",
    env: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """A running server that accepts connections; it is gone when the block is left, by whatever way."""
    module, directory = split_target(target)
    launch = Launch(module, free_port(), workers, root_path, show_lanes, transport, log_level)
    environment = {**os.environ, **(env or {})}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(directory), environment.get("PYTHONPATH", "")]))
    with tempfile.TemporaryDirectory(prefix="freelane-server-") as scratch:
        log = Path(scratch) / "output"
        process = _spawn(server, server.command(launch), directory, environment, cores, log)
        running = Running(server, process, launch.port, log)
        try:
            _wait_until_ready(running)
            yield running
        finally:
            stop(process)


def _spawn(
    server: Server,
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    cores: frozenset[int] | None,
    log: Path,
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output, pinned(cores):
        try:
            # A session of its own: Ctrl-C reaches the harness only, which then stops the whole group.
            return subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ServerFailed(f"{server.name}: cannot be started: {error}") from error


def _wait_until_ready(running: Running) -> None:
    """Ready is an answer to a request: a bound port alone may have no worker behind it yet."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        code = running.process.poll()
        if code is not None:
            raise ServerFailed(f"{running.server.name}: ended with {code} while starting:\n{running.output()}")
        connection = http.client.HTTPConnection(HOST, running.port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
        finally:
            connection.close()
    raise ServerFailed(f"{running.server.name}: no answer within {START_SECONDS:.0f} s:\n{running.output()}")


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ends a server we started: asked first, then its own process group. Returns the exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    # What is left of the group: a worker whose parent died, or the server itself if it did not listen.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()
