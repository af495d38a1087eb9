"""Import what was compiled in the place of its source, where it was made from exactly that."""

from __future__ import annotations

import json
import marshal
import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from freelane.build import place
from freelane.build.project import locate, module_at
from freelane.fastcore import interpreted

DECORATOR = "__freelane_compiled__"
FACTORY = "__freelane_unit_"


class Finder:
    """Finds the modules below ``root``. One for a process; ``lock`` guards what it has counted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory, self.why_not = builds_for(root)
        self.lock = threading.Lock()
        self.seen: dict[str, bool] = {}
        self.changed: list[str] = []
        self.told = False

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin is None or type(spec.loader) is not SourceFileLoader or not self.owns(spec.origin):
            return None
        found = self.loader(name, spec.origin)
        with self.lock:
            again = name in self.seen
            if not again:
                self.seen[name] = found is not None
        if again or found is None:
            return None  # a module that is imported anew is another module, and an extension is one for good
        spec.loader = found
        return spec

    def owns(self, origin: str) -> bool:
        return origin.startswith(f"{self.root}/") and "site-packages" not in origin[len(str(self.root)) :]

    def loader(self, name: str, origin: str) -> CompiledLoader | None:
        if self.directory is None:
            return None
        record = place.read_record(self.directory, name)
        if record is None or not record.get("compiled"):
            return None
        if not self.fits(record, origin):
            self.say(name)
            return None
        return CompiledLoader(name, origin, self.directory, record, self)

    def fits(self, record: dict[str, Any], origin: str) -> bool:
        """Whether it was compiled from this source, and with the classes of others that it was told of."""
        assert self.directory is not None
        try:
            if place.digest(Path(origin).read_bytes()) != record["sha256"]:
                return False
            if (self.directory / record["file"]).stat().st_size != record["size"]:
                return False
            for name, sha in record["depends"]:
                base = self.root.joinpath(*name.split("."))
                path = base / "__init__.py" if (base / "__init__.py").is_file() else base.with_name(f"{base.name}.py")
                if place.digest(path.read_bytes()) != sha:
                    return False
        except OSError:
            return False
        return True

    def say(self, name: str) -> None:
        """Name what is not as it was compiled: all in one line once the app is imported, later ones as they come."""
        with self.lock:
            self.changed.append(name)
        if self.told:
            self.tell()

    def tell(self) -> None:
        self.told = True
        if self.why_not is not None:
            print(f"freelane: {self.why_not}: the source is used", file=sys.stderr, flush=True)
            self.why_not = None
        with self.lock:
            changed, self.changed = self.changed, []
        if changed:
            print(
                f"freelane: changed since `freelane build`: the source is used of {', '.join(changed)}",
                file=sys.stderr,
                flush=True,
            )

    def failed(self, name: str, reason: str) -> None:
        with self.lock:
            self.seen[name] = False
        print(
            f"freelane: {name}: what was compiled cannot be loaded, the source is used: {reason}", file=sys.stderr, flush=True
        )

    def describe(self) -> str:
        with self.lock:
            return f"compiled {sum(self.seen.values())} of {len(self.seen)} modules"


def builds_for(root: Path) -> tuple[Path | None, str | None]:
    """The directory that fits this interpreter and this Cython, or why there is none."""
    installed = cython_here()
    other: str | None = None
    found = []
    for path in place.home(root).glob(f"{place.abi()}-*/build.json"):
        try:
            known = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if known.get("interpreter") != place.interpreter():
            other = "what `freelane build` made is for another interpreter or release of freelane"
        elif installed is not None and known.get("cython") != installed:
            other = f"what `freelane build` made is of Cython {known.get('cython')}, and {installed} is installed"
        else:
            found.append((path.stat().st_mtime, path.parent))
    if found:
        return max(found)[1], None
    return None, other or "nothing is compiled for this interpreter (freelane build)"


def cython_here() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cython")
    except PackageNotFoundError:
        return None


class CompiledLoader(SourceFileLoader):
    """Loads an extension as the module of its source, which it goes on being for everyone who asks."""

    def __init__(self, name: str, origin: str, directory: Path, record: dict[str, Any], finder: Finder) -> None:
        super().__init__(name, origin)
        self.directory = directory
        self.record = record
        self.finder = finder
        self.extension: ExtensionFileLoader | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        path = str(self.directory / self.record["file"])
        loader = ExtensionFileLoader(spec.name, path)
        other = spec_from_file_location(spec.name, path, loader=loader)
        assert other is not None
        try:
            module = loader.create_module(other)
        except ImportError as exc:
            self.finder.failed(spec.name, str(exc))
            return None
        self.extension = loader
        # What Cython has filled in from the extension's own spec.
        for name in ("__file__", "__path__", "__package__", "__loader__", "__cached__"):
            vars(module).pop(name, None)
        return module

    def exec_module(self, module: ModuleType) -> None:
        loader, self.extension = self.extension, None
        if loader is None:
            super().exec_module(module)
            return
        names = vars(module)
        before = dict(names)
        loader.exec_module(module)
        units = {int(name.removeprefix(FACTORY)): names[name] for name in list(names) if name.startswith(FACTORY)}
        names.clear()
        names.update(before)
        code = marshal.loads((self.directory / self.record["code"]).read_bytes())
        if code.co_filename != self.path:
            code = renamed(code, self.path)
        interpreted.add(code)
        names[DECORATOR] = lambda number: installer(units[number])
        try:
            exec(code, names)
        finally:
            if not self.record.get("nested"):
                names.pop(DECORATOR, None)


def renamed(code: CodeType, path: str) -> CodeType:
    """The code with another file's name, as that of a source that was moved."""
    constants = tuple(renamed(item, path) if isinstance(item, CodeType) else item for item in code.co_consts)
    return code.replace(co_filename=path, co_consts=constants)


def installer(factory: Any) -> Any:
    def install(function: FunctionType) -> Any:
        """The compiled form of a function, with all that Python has found out about it."""
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
        made = factory(function.__defaults__, function.__kwdefaults__, cells)
        made.__name__ = function.__name__
        made.__qualname__ = function.__qualname__
        made.__doc__ = function.__doc__
        made.__module__ = function.__module__
        annotate = getattr(function, "__annotate__", None)
        if annotate is not None:
            made.__annotate__ = annotate
        elif not hasattr(function, "__annotate__") and function.__annotations__:
            made.__annotations__ = function.__annotations__
        interpreted.keep(made, function)
        return made

    return install


# The finder of this process, once `--compiled` has asked for it.
finder: Finder | None = None


def install(root: Path) -> Finder:
    """Let modules below ``root`` be imported as they were compiled."""
    global finder
    if finder is None or finder.root != root:
        finder = Finder(root)
        sys.meta_path.insert(0, finder)
    return finder


def install_for(target: str, app_dir: str | None) -> Finder:
    """For the modules that are imported with ``target``: below the directory that it is imported from, or installed to."""
    root, name = locate(target, app_dir)
    if module_at(root, name.partition(".")[0]) is None:
        top = PathFinder.find_spec(name.partition(".")[0])
        if top is not None and top.origin is not None:
            root = Path(top.origin).resolve().parents[1 if top.submodule_search_locations else 0]
    return install(root)


def describe() -> str:
    """For the start line."""
    return finder.describe() if finder is not None else "nothing compiled"
