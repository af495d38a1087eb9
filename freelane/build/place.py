"""Where what was compiled is kept, and what of it fits: one directory for each interpreter, Cython and form of this."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from freelane.fastcore.version import __version__

# Changes whenever what is compiled means something else to the importer.
FORM = "1"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX") or ".so"


def home(root: Path) -> Path:
    """The directory of every build of a project."""
    return root / ".freelane" / "build"


def abi() -> str:
    return f"{sys.implementation.cache_tag}{sys.abiflags}"


def interpreter() -> dict[str, Any]:
    """What an extension is compiled for."""
    return {
        "python": sys.version.split()[0], "abi": abi(), "suffix": SUFFIX, "magic": importlib.util.MAGIC_NUMBER.hex(),
        "platform": sysconfig.get_platform(), "freelane": __version__, "form": FORM,
    }  # fmt: skip


def directory(root: Path, cython: str) -> Path:
    """Where this interpreter and that release of Cython build to."""
    key = json.dumps([interpreter(), cython], sort_keys=True).encode()
    return home(root) / f"{abi()}-{hashlib.sha256(key).hexdigest()[:12]}"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(path: Path, data: bytes) -> None:
    """All of it or nothing: written under another name first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read_record(place: Path, name: str) -> dict[str, Any] | None:
    """What is known of a module from its last build; None where nothing is."""
    try:
        record = json.loads((place / f"{name}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def write_record(place: Path, name: str, record: dict[str, Any]) -> None:
    write(place / f"{name}.json", json.dumps(record, indent=1).encode())


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Two builds into one directory wait for each other."""
    import fcntl

    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
