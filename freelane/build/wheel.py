"""A wheel of the app, its sources and data with what was compiled of them, for a place that has no compiler.

The format is the binary distribution format of PyPA's specifications (PEP 427); tags are those of PEP 425.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from freelane.build import builder, place
from freelane.build.project import FOREIGN, Module, Project

# The earliest that a zip file can say; the same files make the same wheel.
EPOCH = (1980, 1, 1, 0, 0, 0)


def make_wheel(project: Project, directory: Path, cython: str) -> Path:
    """Write the wheel into ``directory`` and return its path. Raises UnavailableError where that cannot be."""

    def source(module: Module) -> str:
        return module.path.relative_to(project.root).as_posix()  # found along sys.path, wherever it is installed

    built = place.home(project.root).parent / "wheel" / place.directory(project.root, cython).name
    builder.build_project(project, built, cython, lambda record, number, count: None, source)
    name, version, needs = metadata_of(project)
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
    full = f"{tag}-{tag}{sys.abiflags}-{platform}"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{re.sub(r'[-_.]+', '_', name)}-{version}-{full}.whl"
    info = f"{re.sub(r'[-_.]+', '_', name)}-{version}.dist-info"
    files = dict(files_of(project))
    files |= {
        f".freelane/build/{built.name}/{item.name}": item.read_bytes()
        for item in sorted(built.iterdir())
        if item.name != "lock"
    }
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {item}" for item in needs)]
    files[f"{info}/METADATA"] = ("\n".join(lines) + "\n").encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: freelane\nRoot-Is-Purelib: false\nTag: {full}\n".encode()
    record = [f"{name},sha256={digest(data)},{len(data)}" for name, data in files.items()]
    files[f"{info}/RECORD"] = ("\n".join([*record, f"{info}/RECORD,,"]) + "\n").encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, data in files.items():
            entry = zipfile.ZipInfo(file, EPOCH)
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return path


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def metadata_of(project: Project) -> tuple[str, str, list[str]]:
    """Name, version and dependencies: those of pyproject.toml, where it has them."""
    known: dict[str, Any] = {}
    path = project.root / "pyproject.toml"
    if path.is_file():
        known = tomllib.loads(path.read_text("utf-8")).get("project", {})
    name = known.get("name", project.target.partition(".")[0])
    return name, known.get("version", "0"), list(known.get("dependencies", []))


def files_of(project: Project) -> Iterator[tuple[str, bytes]]:
    """The modules, and whatever lies in their packages."""
    tops = {module.name.partition(".")[0] for module in project.modules}
    for top in sorted(tops):
        base = project.root / top
        if not base.is_dir():
            base = base.with_name(f"{top}.py")
        for path in sorted(base.rglob("*")) if base.is_dir() else [base]:
            parts = path.relative_to(project.root).parts
            if path.is_file() and not any(part in FOREIGN or part.startswith(".") for part in parts):
                yield path.relative_to(project.root).as_posix(), path.read_bytes()
