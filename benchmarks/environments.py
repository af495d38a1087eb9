"""The interpreters of this machine, and an environment for each contender, made once in the cache."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ASK = """import sys, sysconfig, venv, ensurepip
print("%d.%d" % sys.version_info[:2] + "t" * bool(sysconfig.get_config_var("Py_GIL_DISABLED")))"""


class Missing(Exception):
    """An interpreter or an environment cannot be had; the message says why."""


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("FREELANE_CACHE") or Path(home) / "freelane")


def candidates() -> list[str]:
    """FREELANE_PYTHONS (paths, as PATH has them), PATH, our cache, pyenv's versions; this interpreter last."""
    named = [entry for entry in os.environ.get("FREELANE_PYTHONS", "").split(os.pathsep) if entry]
    found: list[str | None] = list(named)
    found += [shutil.which(f"python3.{minor}{build}") for minor in (14, 13) for build in ("t", "")]
    found += sorted(map(str, (cache() / "python").glob("*/bin/python3.*t")), reverse=True)
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found += sorted(map(str, root.glob("3.*/bin/python3")), reverse=True)
    return [path for path in [*found, getattr(sys, "_base_executable", None)] if path]


@functools.cache
def interpreters() -> dict[str, str]:
    """Kind, such as ``3.14t``, to the first interpreter of that kind that can make environments."""
    found: dict[str, str] = {}
    for path in candidates():
        try:
            asked = subprocess.run([path, "-c", ASK], capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if asked.returncode == 0:
            found.setdefault(asked.stdout.strip(), path)
    return found


def environment(kinds: Iterable[str], packages: Sequence[str], name: str) -> str:
    """The Python of an environment with these packages, on the first of these kinds that takes them.

    Wheels only. Raises Missing with each kind's reason.
    """
    reasons = []
    for kind in kinds:
        base = interpreters().get(kind)
        if base is None:
            reasons.append(f"no Python {kind} here (name one in FREELANE_PYTHONS)")
            continue
        try:
            return made(kind, base, packages, name)
        except (subprocess.SubprocessError, OSError) as exc:
            printed = getattr(exc, "stderr", b"") or b""
            lines = [line for line in printed.decode(errors="replace").splitlines() if re.match(r"\s*(error|ERROR|×|╰)", line)]
            reasons.append(f"on {kind}: {(lines or [str(exc)])[-1].strip()[:200]}")
    raise Missing("; ".join(reasons))


def made(kind: str, base: str, packages: Sequence[str], name: str) -> str:
    key = hashlib.sha256(json.dumps([base, sorted(packages)]).encode()).hexdigest()[:12]
    home = cache() / "peers" / f"{name}-{kind}-{key}"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        subprocess.run([base, "-m", "venv", "--clear", str(home)], check=True, timeout=180, capture_output=True)
        # uv where it is: the same, sooner.
        uv = shutil.which("uv") or shutil.which(str(cache() / "uv" / "bin" / "uv"))
        pip = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
        install = [*pip, "-q", "--only-binary", ":all:", *packages]
        subprocess.run(install, check=True, timeout=600, capture_output=True)
        (home / "ready").touch()
    return str(python)
