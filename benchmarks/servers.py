"""The servers that tests and measurements start, each as a contender of ``freelane.bench``."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from freelane.bench import Contender, ContenderFailed, processes
from freelane.bench.contenders import HOST, split_target
from freelane.bench.processes import Running, free_port

__all__ = ["HOST", "Launch", "PeersMissing", "Running", "Server", "ServerFailed", "free_port", "freelane", "granian_asgi",
           "peers_python", "serve", "subject", "uvicorn"]  # fmt: skip

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = ("starlette", "fastapi", "pydantic", "anyio")
START_SECONDS = 180.0
STOP_SECONDS = 60.0
# A server did not start or did not answer; the message carries what it printed.
ServerFailed = ContenderFailed


class PeersMissing(Exception):
    """The environment of the servers we compare with cannot be had; the message says why."""


@dataclass(frozen=True)
class Launch:
    """What a server is asked for, in no server's own words."""

    target: str  # module:app
    port: str  # {port}, filled in when it is started
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


def freelane(*options: str) -> Server:
    python = Path(sys.executable)

    def command(launch: Launch) -> list[str]:
        made = [str(python.parent / "freelane"), "run", launch.target, "--host", HOST, "--port", launch.port]
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
        made += ["--port", launch.port, "--workers", str(launch.workers), "--log-level", "warning"]
        if launch.root_path:
            made += ["--url-path-prefix", launch.root_path]
        return made

    return Server("granian-asgi", python, command, ("granian", *FRAMEWORKS))


def uvicorn(python: Path) -> Server:
    def command(launch: Launch) -> list[str]:
        made = [str(python), "-m", "uvicorn", launch.target, "--host", HOST, "--port", launch.port]
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
    launch = Launch(module, "{port}", workers, root_path, show_lanes, transport, log_level)
    contender = Contender(
        server.name, tuple(server.command(launch)), python=str(server.python), directory=directory, environment=env or {}
    )
    with processes.serve(contender, cores=cores, timeout=START_SECONDS, patience=STOP_SECONDS) as running:
        yield running
