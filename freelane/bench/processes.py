"""Start a contender, wait until it answers, stop it by pid whatever happens."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from freelane.bench import machine
from freelane.bench.contenders import HOST, Contender, ContenderFailed
from freelane.bench.interrupts import interrupts
from freelane.errors import ConfigError

START_SECONDS = 60.0
STOP_SECONDS = 5.0
# Asked until it answers: no route of the app's, so that nothing of the app runs.
READY_PATH = "/-/freelane-bench-is-it-up"
# Tells what a contender started from everything else, daemons that left its session included.
MARK = "FREELANE_BENCH_MARK"


@dataclass(frozen=True)
class Running:
    """A contender that answers. ``process`` is None for one that somebody else runs."""

    contender: Contender
    url: str
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None
    mark: str = ""  # in the environment of all that it starts

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 80

    def output(self, last_lines: int = 40) -> str:
        """The end of what it printed."""
        if self.log is None:
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-last_lines:])

    def check(self, suspicious: bool = False) -> None:
        """Raise ContenderFailed if it has ended; ``suspicious`` waits a moment, since a broken connection comes first."""
        if suspicious and self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.5)
        if self.process is not None and (code := self.process.poll()) is not None:
            raise ContenderFailed(f"{self.contender.name}: {ending(code)} while it was asked:\n{self.output()}".rstrip())


def ending(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with {code}"


def free_port() -> int:
    """A port that nobody listens on, outside the range that the kernel gives to clients meanwhile (ip(7))."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


def check_port(port: int) -> None:
    """Raise ConfigError if nothing can listen on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as exc:
            what = "is in use by another program" if exc.errno == errno.EADDRINUSE else f"cannot be used: {exc.strerror}"
            raise ConfigError(f"port {port} {what}; leave out --port for a free one") from None


@contextlib.contextmanager
def serve(
    contender: Contender,
    *,
    cores: frozenset[int] | None = None,
    port: int | None = None,
    timeout: float = START_SECONDS,
    patience: float = STOP_SECONDS,
    quiet: bool = True,
) -> Iterator[Running]:
    """A contender that answers requests; what was started is gone when the block is left, by whatever way.

    It gets ``patience`` seconds to end by itself. What it prints is kept for who asks, or, unless ``quiet``,
    goes where ours goes. Raises ContenderFailed if it does not start within
    ``timeout`` seconds.
    """
    if contender.url is not None:
        running = Running(contender, contender.url)
        wait_until_ready(running, timeout=5)
        yield running
        return
    if port is not None:
        check_port(port)
    # What was started, from the moment it is: a signal may come between any two lines.
    started: list[Running] = []
    with tempfile.TemporaryDirectory(prefix="freelane-bench-") as scratch:
        try:
            yield start(contender, started, Path(scratch) / "output" if quiet else None, cores, port, timeout)
        finally:
            for running in started:
                stop(running, patience)


def start(
    contender: Contender, started: list[Running], log: Path | None, cores: frozenset[int] | None, port: int | None,
    timeout: float,
) -> Running:  # fmt: skip
    """Start and wait; a free port that another program took in between is tried again."""
    for last in (False, False, True):
        chosen = port or free_port()
        with interrupts.deferred():
            mark = f"{os.getpid()}-{time.time_ns()}"
            process = spawn(contender, chosen, log, cores, mark)
            started.append(running := Running(contender, f"http://{HOST}:{chosen}", process, log, mark))
        try:
            wait_until_ready(running, timeout)
            return running
        except ContenderFailed:
            if last or port or not in_use(running.output(), chosen):
                raise
            stop(running)
            started.clear()
    raise AssertionError("unreachable")


def in_use(output: str, port: int) -> bool:
    return "address already in use" in output.lower() and str(port) in output


def spawn(
    contender: Contender, port: int, log: Path | None, cores: frozenset[int] | None, mark: str
) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PORT": str(port), **contender.environment, MARK: mark}
    paths = [str(contender.directory), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    with contextlib.nullcontext() if log is None else log.open("wb") as output, machine.pinned(cores):
        try:
            # A session of its own: Ctrl-C reaches the bench only, which then stops the whole of it.
            return subprocess.Popen(
                contender.arguments(port),
                cwd=contender.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as exc:
            raise ContenderFailed(f"{contender.name}: cannot be started: {exc}") from exc


def connect(url: str, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or HOST, parts.port, timeout=timeout)


def wait_until_ready(running: Running, timeout: float) -> None:
    """Ready is an answer to a request: a bound port alone may have no worker behind it yet."""
    name, problem = running.contender.name, "it does not listen"
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if running.process is not None and (code := running.process.poll()) is not None:
            raise ContenderFailed(f"{name}: {ending(code)} while starting:\n{running.output()}".rstrip())
        connection = connect(running.url, timeout=5)
        try:
            connection.request("GET", urlsplit(running.url).path + READY_PATH)
            connection.getresponse().read()
            return
        except (OSError, http.client.HTTPException) as exc:
            problem = f"{type(exc).__name__}: {exc}" if not isinstance(exc, ConnectionRefusedError) else problem
            time.sleep(0.02)
        finally:
            connection.close()
    printed = running.output()
    raise ContenderFailed(
        f"{name}: no answer on {running.url} within {timeout:g} s ({problem})" + (f":\n{printed}" if printed else "")
    )


def stop(running: Running, patience: float = STOP_SECONDS) -> int:
    """End a contender and all that came of it: asked first, then killed by pid. Returns its exit code."""
    process = running.process
    assert process is not None
    with interrupts.deferred():
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + patience
            # A second Ctrl-C does not wait for manners.
            while process.poll() is None and time.monotonic() < deadline and not interrupts.impatient:
                time.sleep(0.01)
        # What is left of the group: a worker whose parent died, or the process itself if it did not listen.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for pid in machine.marked(f"{MARK}={running.mark}"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        return process.wait()


def versions(contender: Contender) -> dict[str, str]:
    """The interpreter and the packages a contender runs on, asked of its own Python; empty where it names none."""
    if contender.python is None:
        return {}
    code = (
        "import importlib.metadata as m, json, sys, sysconfig\n"
        "out = {'python': sys.version.split(' ')[0]}\n"
        "out['build'] = 'free-threaded' if sysconfig.get_config_var('Py_GIL_DISABLED') else 'GIL'\n"
        "for name in sys.argv[1:]:\n"
        "    try: out[name] = m.version(name)\n"
        "    except m.PackageNotFoundError: pass\n"
        "print(json.dumps(out))"
    )
    try:
        asked = subprocess.run(
            [contender.python, "-c", code, *contender.packages], capture_output=True, text=True, timeout=60, check=True
        )
        found: dict[str, str] = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as exc:
        raise ContenderFailed(f"{contender.name}: its interpreter {contender.python} does not run: {exc}") from exc
    return found
