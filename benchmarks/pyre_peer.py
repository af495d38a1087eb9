"""Pyre itself, whose answers tests compare with: its wheel is for CPython 3.13 with the GIL only."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from .environments import cache
from .servers import PeersMissing

VERSION = "1.5.0"
PACKAGES = ("pydantic", "msgpack", "numpy", "httpx")


@functools.cache
def pyre_python() -> Path:
    """A Python with Pyre, made once in the cache. Raises PeersMissing where its wheel cannot be had."""
    home = cache() / "peers" / f"pyreframework-{VERSION}"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        base = next((path for path in candidates() if usable(path)), None)
        if base is None:
            raise PeersMissing("Pyre needs a CPython 3.13 with the GIL, on PATH or in pyenv")
        install = [str(python), "-m", "pip", "install", "-q", "--only-binary=:all:"]
        try:
            subprocess.run([base, "-m", "venv", "--clear", str(home)], check=True, timeout=120, capture_output=True)
            subprocess.run([*install, f"pyreframework=={VERSION}", *PACKAGES], check=True, timeout=300, capture_output=True)
        except (subprocess.SubprocessError, OSError) as error:
            raise PeersMissing(f"Pyre does not install: {error}") from error
        (home / "ready").touch()
    return python


def candidates() -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [shutil.which("python3.13"), *sorted(map(str, root.glob("3.13*/bin/python3")))]
    return [path for path in found if path]


def usable(python: str) -> bool:
    script = (
        "import sys, sysconfig; sys.exit(sys.version_info[:2] != (3, 13) or bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
    )
    return subprocess.run([python, "-c", script], capture_output=True, timeout=30).returncode == 0
