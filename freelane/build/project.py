"""Which modules are an app's own: found by reading, without an import."""

from __future__ import annotations

import ast
import fnmatch
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from freelane.errors import UnavailableError

# Directories that hold no modules of an app's.
FOREIGN = {"site-packages", "dist-packages", "node_modules", "__pycache__"}
# What is not imported when the app is.
BESIDE = ("conftest", "__main__", "test_*", "*_test", "tests", "setup")


@dataclass(frozen=True, slots=True)
class Module:
    """One module: its full name and its file. ``package``: it is an ``__init__.py``."""

    name: str
    path: Path
    package: bool


@dataclass(frozen=True, slots=True)
class Project:
    """``root`` is the directory that the modules are imported from; ``excluded`` has the reason of each.

    ``everything``: functions are compiled that gain nothing by it, too.
    """

    root: Path
    target: str
    modules: tuple[Module, ...]
    excluded: tuple[tuple[Module, str], ...]
    everything: bool = False


def locate(target: str, app_dir: str | None) -> tuple[Path, str]:
    """The directory that ``target``'s module is imported from, and its name. As ``freelane.loader`` imports it."""
    name = target.rpartition(":")[0] or target
    if not (name.endswith(".py") or "/" in name):
        return Path(app_dir or ".").resolve(), name
    path = Path(name).resolve()
    root, names = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        names.insert(0, root.name)
        root = root.parent
    return root, ".".join(names)


def find(
    target: str, app_dir: str | None = None, include: Iterable[str] = (), exclude: Iterable[str] = (), everything: bool = False
) -> Project:
    """The target's package with all below it, and what those import of the modules beside it.

    ``include`` and ``exclude`` are patterns of module names. Raises UnavailableError where the target is no module.
    """
    root, name = locate(target, app_dir)
    first = module_at(root, name)
    if first is None:
        raise UnavailableError(f"no module '{name}' in {root}")
    found: dict[str, Module] = {}
    pending = [first]
    top = root / name.partition(".")[0]
    if top.is_dir():
        pending += below(root, top)
    patterns = list(include)
    if patterns:
        pending += [module for module in below(root, root) if matches(module.name, patterns)]
    while pending:
        module = pending.pop()
        if module.name in found:
            continue
        found[module.name] = module
        for imported in imports(module):
            parts = imported.split(".")
            for end in range(1, len(parts) + 1):
                known = module_at(root, ".".join(parts[:end]))
                if known is not None and known.name not in found:
                    pending.append(known)
    modules, excluded = [], []
    for module in sorted(found.values(), key=lambda module: module.name):
        if matches(module.name, exclude):
            excluded.append((module, "excluded"))
        elif matches(module.name, patterns):
            modules.append(module)
        elif any(matches(part, BESIDE) for part in module.name.split(".")) and module.name != name:
            excluded.append((module, "not part of the app when it is served"))
        else:
            modules.append(module)
    return Project(root, name, tuple(modules), tuple(excluded), everything)


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def module_at(root: Path, name: str) -> Module | None:
    """The module of that name whose source is below ``root``."""
    base = root.joinpath(*name.split("."))
    if (base / "__init__.py").is_file():
        return Module(name, base / "__init__.py", True)
    path = base.with_name(f"{base.name}.py")
    return Module(name, path, False) if path.is_file() else None


def below(root: Path, directory: Path) -> Iterator[Module]:
    """Every module in ``directory`` and its packages, but not those of environments and hidden directories."""
    for place, names, files in os.walk(directory):
        here = Path(place)
        names[:] = sorted(
            name for name in names
            if name not in FOREIGN and not name.startswith(".") and not (here / name / "pyvenv.cfg").exists()
        )  # fmt: skip
        if (here / "pyvenv.cfg").exists():
            names.clear()
            continue
        for file in sorted(files):
            if not file.endswith(".py"):
                continue
            path = here / file
            package = file == "__init__.py"
            parts = (here if package else path.with_suffix("")).relative_to(root).parts
            if parts:
                yield Module(".".join(parts), path, package)


def imports(module: Module) -> Iterator[str]:
    """The names that a module imports wherever it does; those it takes from a package may be modules too."""
    try:
        tree = ast.parse(module.path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    package = module.name if module.package else module.name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                parts = parts[: len(parts) - node.level + 1]
                base = ".".join([*parts, *([node.module] if node.module else [])])
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
