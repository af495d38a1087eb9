"""Stands for Pyre's build backend while pip downloads its sdist: says its metadata without a Rust compiler."""

from __future__ import annotations

import shutil
from pathlib import Path


def prepare_metadata_for_build_wheel(directory: str, config_settings: object = None) -> str:
    """PEP 517; the working directory is the sdist's root, which has the metadata ready (PEP 643)."""
    name, version = "", ""
    for line in Path("PKG-INFO").read_text().splitlines():
        if line.startswith("Name: "):
            name = line.removeprefix("Name: ")
        elif line.startswith("Version: "):
            version = line.removeprefix("Version: ")
    target = Path(directory) / f"{name}-{version}.dist-info"
    target.mkdir()
    shutil.copy("PKG-INFO", target / "METADATA")
    return target.name
