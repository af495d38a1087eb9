"""Extensions that the app has not imported yet and some function of its would, found without importing anything."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from types import CodeType
from typing import Any

from freelane.gil_lane.detect.call_graph import names_in
from freelane.gil_lane.detect.import_graph import find, is_framework, is_own, is_own_file

IMPORTS = re.compile(rb"^[ \t]*(?:from|import)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
# Directories of packages that serve their authors only.
ASIDE = {"tests", "test", "testing", "__pycache__", "docs", "examples", "benchmarks"}


class Later:
    """``chain(name)`` leads from a module that is not imported to an extension that needs the GIL.

    ``judge`` says which of ``(module, file)`` turn the GIL on; ``loaded`` gives the chain of a
    module that is imported. An installed package is taken for what any of its files may import.
    """

    def __init__(
        self,
        judge: Callable[[list[tuple[str, str]]], dict[str, bool]],
        loaded: Callable[[str | None], tuple[str, ...] | None],
    ) -> None:
        self.judge = judge
        self.loaded = loaded
        self.known: dict[str, tuple[str, ...] | None] = {}
        # The app's own modules that were looked for, and where they are; "" for what is nowhere.
        self.looked: dict[str, str] = {}

    def anything(self) -> bool:
        """Whether a function of the app's own modules would import such an extension."""
        names = {name for module in list(sys.modules) if is_own(module) for name in imported_inside(module)}
        return any(self.chain(name) is not None for name in sorted(names) if name not in sys.modules)

    def chain(self, name: str) -> tuple[str, ...] | None:
        if name in sys.modules:
            return self.loaded(name)
        if name.partition(".")[0] in sys.stdlib_module_names:
            return None
        spec = find(name)
        if spec is None:
            self.looked[name] = ""
            return None
        own = spec.origin is not None and is_own_file(spec.origin)
        if own:
            self.looked[name] = spec.origin or ""
        # An installed package is judged as a whole.
        key = name if own else name.partition(".")[0]
        if key not in self.known:
            self.known[key] = None  # while it is looked at: packages import each other
            self.known[key] = self.own_chain(name, spec) if own else self.package_chain(key)
        found = self.known[key]
        return found if found is None or found[0] == name else (name, *found)

    def own_chain(self, name: str, spec: ModuleSpec) -> tuple[str, ...] | None:
        code = code_of(spec)
        for target in imports_of(code, spec.parent or "") if code is not None else ():
            if (found := self.chain(target)) is not None:
                return (name, *found)
        return None

    def package_chain(self, top: str) -> tuple[str, ...] | None:
        spec = find(top)
        if spec is None:
            return None
        extensions, names = [], set()
        for file in files_of(spec):
            if file.endswith(tuple(EXTENSION_SUFFIXES)):
                extensions.append((module_name(top, spec, file), file))
            else:
                try:
                    with open(file, "rb") as source:
                        names |= {found.decode() for found in IMPORTS.findall(source.read())}
                except OSError:
                    continue
        for name, bad in sorted(self.judge(extensions).items()):
            if bad:
                return (top, name) if name != top else (top,)
        # What a framework imports for some of its users says nothing of the others.
        for name in sorted(names - {top}) if not is_framework(top) else ():
            if (found := self.chain(name)) is not None:
                return (top, *found)
        return None


def code_of(spec: Any) -> CodeType | None:
    try:
        found = spec.loader.get_code(spec.name)
    except Exception:  # what cannot be read cannot be imported either
        return None
    return found if isinstance(found, CodeType) else None


def imported_inside(module: str) -> Iterator[str]:
    """What the functions of an imported module would import."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    code = code_of(spec) if spec is not None else None
    if spec is not None and code is not None:
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from imports_of(constant, spec.parent or "")


def imports_of(code: CodeType, package: str) -> Iterator[str]:
    """Every module that ``code`` or what is inside it imports."""
    for name, items, level in names_in(code)[1]:
        if level:
            try:
                name = importlib.util.resolve_name("." * level + name, package)
            except ImportError:
                continue
        yield name
        yield from (f"{name}.{item}" for item in items if item != "*" and find(f"{name}.{item}") is not None)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from imports_of(constant, package)


def files_of(spec: ModuleSpec) -> Iterable[str]:
    """The Python files and extension modules of a package, or of the one module."""
    if not spec.submodule_search_locations:
        return [spec.origin] if spec.origin else []
    found = []
    for location in spec.submodule_search_locations:
        for directory, directories, files in os.walk(location):
            directories[:] = [name for name in directories if name not in ASIDE]
            found += [os.path.join(directory, name) for name in files if name.endswith((".py", *EXTENSION_SUFFIXES))]
    return found


def module_name(top: str, spec: ModuleSpec, file: str) -> str:
    for location in spec.submodule_search_locations or ():
        if file.startswith(location + os.sep):
            parts = file[len(location) + 1 :].split(os.sep)
            return ".".join([top, *parts[:-1], parts[-1].partition(".")[0]])
    return top
