"""A PostgreSQL of its own on a Unix socket, as Debian's package has it; only root can start it, as another user."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").exists() else []
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


def missing() -> str:
    """Why it cannot be started here; empty where it can."""
    if not BINARIES or not shutil.which("setpriv"):
        return "PostgreSQL or setpriv is not installed"
    if subprocess.run([*AS_POSTGRES, "true"], capture_output=True).returncode:
        return "only root can start PostgreSQL as another user"
    return ""


@contextmanager
def postgresql(directory: Path, *databases: str) -> Iterator[str]:
    """The URL of its database ``postgres`` for psycopg, with ``databases`` beside it; its log goes to ``directory``."""
    binaries = BINARIES[-1]
    # Its socket's path may have 107 bytes.
    home = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    shutil.chown(home, "postgres")
    try:
        made = [*AS_POSTGRES, str(binaries / "initdb"), "-D", str(home / "data"), "-A", "trust", "-N"]
        subprocess.run(made, check=True, capture_output=True, timeout=120, cwd=home)
        command = [*AS_POSTGRES, str(binaries / "postgres"), "-D", str(home / "data"), "-k", str(home)]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen([*command, "-c", "listen_addresses=", "-F"], cwd=home, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            ready = [str(binaries / "pg_isready"), "-h", str(home), "-q"]
            while subprocess.run(ready).returncode and time.monotonic() < deadline:
                time.sleep(0.05)
            for name in databases:
                subprocess.run([str(binaries / "createdb"), "-h", str(home), "-U", "postgres", name], check=True)
            yield f"postgresql+psycopg://postgres@/postgres?host={home}"
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(home)
