"""Who imports whom: recorded while an app is imported, asked for the extensions behind a module."""

from __future__ import annotations

import builtins
import importlib.util
import os
import site
import sys
from collections import deque
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

# Read name by name, as the app's own code is: what they import for some of their users
# (an optional JSON library, for one) says nothing of the others.
FRAMEWORKS = ("starlette", "fastapi", "freelane", "pydantic", "anyio")


def foreign_directories() -> tuple[str, ...]:
    library = os.path.dirname(os.__file__)
    # As sysconfig has them, whose import takes 15 ms.
    here = os.path.join(sys.exec_prefix, sys.platlibdir, os.path.basename(library))
    paths = [library, here, *site.getsitepackages(), site.getusersitepackages()]
    return tuple(f"{path}/" for path in dict.fromkeys(paths) if path)


FOREIGN = foreign_directories()


def file_of(name: str) -> str:
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None) or getattr(getattr(module, "__spec__", None), "origin", None)
    return file if isinstance(file, str) else ""


def is_framework(name: str) -> bool:
    return name.partition(".")[0] in FRAMEWORKS


def is_own(name: str) -> bool:
    """Whether a module is the app's own: Python code that nobody installed."""
    return is_own_file(file_of(name)) and not is_framework(name)


def is_own_file(file: str) -> bool:
    return file.endswith(".py") and not file.startswith(FOREIGN)


def find(name: str) -> ModuleSpec | None:
    """The spec of a module, without importing the packages that it is in."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top) if top not in sys.modules else sys.modules[top].__spec__
        for index in range(len(rest)):
            if spec is None or spec.submodule_search_locations is None:
                return None
            spec = PathFinder.find_spec(".".join([top, *rest[: index + 1]]), list(spec.submodule_search_locations))
    except (ImportError, ValueError, AttributeError):
        return None
    return spec


class ImportGraph:
    """Records every import statement as an edge while installed."""

    def __init__(self) -> None:
        self.edges: dict[str, set[str]] = {}
        self.original = builtins.__import__

    def install(self) -> None:
        original = self.original

        def record(name: str, globals: Mapping[str, Any] | None = None, locals: Any = None,
                   fromlist: Any = (), level: int = 0) -> Any:  # fmt: skip
            result = original(name, globals, locals, fromlist, level)
            if globals is not None and (importer := globals.get("__name__")):
                full = name
                if level:
                    try:
                        full = importlib.util.resolve_name("." * level + name, globals.get("__package__") or importer)
                    except ImportError:
                        return result
                targets = self.edges.setdefault(importer, set())
                targets.add(full)
                for item in fromlist or ():
                    if f"{full}.{item}" in sys.modules:
                        targets.add(f"{full}.{item}")
            return result

        builtins.__import__ = record

    def uninstall(self) -> None:
        builtins.__import__ = self.original

    def behind(self, unsafe: set[str]) -> Callable[[str | None], tuple[str, ...] | None]:
        """What gives the chain of modules from a name to an unsafe extension, itself included, or None.

        Chains stop at the app's own modules and the frameworks, which are read name by name.
        """
        importers: dict[str, list[str]] = {}
        for importer, targets in list(self.edges.items()):
            for target in sorted(targets):
                importers.setdefault(target, []).append(importer)
        for name in list(sys.modules):
            if parent := name.rpartition(".")[0]:
                importers.setdefault(parent, []).append(name)
        following: dict[str, str | None] = dict.fromkeys(sorted(unsafe))
        queue = deque(following)
        while queue:
            module = queue.popleft()
            for importer in importers.get(module, ()):
                if importer not in following:
                    following[importer] = module
                    if not (is_own(importer) or is_framework(importer)):
                        queue.append(importer)

        def chain(name: str | None) -> tuple[str, ...] | None:
            if name not in following:
                return None
            found = []
            while name is not None:
                found.append(name)
                name = following[name]
            return tuple(found)

        return chain
