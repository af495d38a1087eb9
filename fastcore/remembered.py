"""Small answers that are dear to find out, kept in the user's cache directory under what they depend on."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def directory(kind: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "freelane" / f"{kind}-{sys.implementation.cache_tag}{sys.abiflags}"


def recall(kind: str, key: str) -> str | None:
    """What was kept; None where nothing was."""
    try:
        return (directory(kind) / key).read_text()
    except OSError:
        return None


def keep(kind: str, key: str, text: str) -> None:
    """Written under another name first: whoever reads finds all of it or nothing. Without a cache, nothing is kept."""
    import tempfile

    place = directory(kind)
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=place, delete=False) as file:
            file.write(text)
        os.replace(file.name, place / key)
    except OSError:
        pass


def digest(*parts: bytes) -> str:
    """A name for what ``parts`` are."""
    import hashlib

    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.hexdigest()
