"""Follow the names that an endpoint can reach to the extension modules that need the GIL.

Reads, and never runs, the app's own functions: the globals they load, closures, defaults,
decorators (``__wrapped__``), methods of classes and instances, imports inside functions,
attributes of the app's modules. Installed packages are judged by what they import.
"""

from __future__ import annotations

import dis
import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from freelane.gil_lane.detect.import_graph import ImportGraph, is_framework, is_own
from freelane.gil_lane.detect.import_stubs import StandIn

# How much of a container or an object graph is looked at.
MOST_ITEMS = 1000
MOST_STEPS = 20_000

DYNAMIC = {"eval", "exec", "import_module", "__import__"}
PLAIN = (str, bytes, int, float, complex, bool, type(None), range, slice)


@dataclass(slots=True)
class Verdict:
    """``chain`` leads to the extension, the endpoint first; ``doubts`` could not be followed."""

    chain: list[str] | None = None
    doubts: list[str] = field(default_factory=list)


class Reach:
    """Answers for one app. ``unsafe`` are the names of extension modules that need the GIL."""

    def __init__(self, graph: ImportGraph, unsafe: Callable[[], set[str]]) -> None:
        self.graph = graph
        self.unsafe = unsafe

    def verdict(self, roots: tuple[Any, ...], state_is_unsafe: bool = False) -> Verdict:
        """What ``roots``, an endpoint and what runs around it, can reach."""
        return Walk(self.graph, self.unsafe, state_is_unsafe).run(roots)


@dataclass(slots=True)
class Step:
    value: Any
    chain: tuple[str, ...]
    # Names read off the value right after it was loaded: ``helpers.compute`` of a module.
    attributes: frozenset[str] | None = None


class Walk:
    """A breadth-first search, so that the chain found is a shortest one."""

    def __init__(self, graph: ImportGraph, unsafe: Callable[[], set[str]], state_is_unsafe: bool) -> None:
        self.graph = graph
        self.unsafe_names = unsafe
        self.unsafe = unsafe()
        self.state_is_unsafe = state_is_unsafe
        self.seen: set[tuple[int, frozenset[str] | None]] = set()
        self.keep: list[Any] = []
        self.pending: list[Step] = []
        self.found = Verdict()

    def run(self, roots: tuple[Any, ...]) -> Verdict:
        for root in roots:
            self.add(root, (name_of(root),))
        steps = 0
        while self.pending and self.found.chain is None:
            steps += 1
            if steps > MOST_STEPS:
                self.doubt("more than can be followed")
                break
            self.look(self.pending.pop(0))
        return self.found

    def doubt(self, what: str) -> None:
        if what not in self.found.doubts:
            self.found.doubts.append(what)

    def add(self, value: Any, chain: tuple[str, ...], attributes: frozenset[str] | None = None) -> None:
        if isinstance(value, PLAIN):
            return
        key = id(value), attributes
        if key not in self.seen:
            self.seen.add(key)
            self.keep.append(value)
            self.pending.append(Step(value, chain, attributes))

    def look(self, step: Step) -> None:
        value, chain = step.value, step.chain
        # Only what can be read without running code of the app's.
        kind = type(value)
        if kind is StandIn:
            self.found.chain = [*chain, object.__getattribute__(value, "name")]
        elif isinstance(value, ModuleType):
            self.look_module(value, chain, step.attributes)
        elif kind is FunctionType:
            self.look_function(value, chain)
        elif kind is MethodType:
            self.add(value.__func__, chain)
            self.add(value.__self__, chain)
        elif isinstance(value, functools.partial):
            for part in (value.func, *value.args, *value.keywords.values()):
                self.add(part, (*chain, name_of(part)))
        elif isinstance(value, type):
            self.look_class(value, chain)
        elif isinstance(value, (staticmethod, classmethod)):
            self.add(value.__func__, chain)
        elif isinstance(value, property):
            for part in (value.fget, value.fset, value.fdel):
                self.add(part, chain)
        elif isinstance(value, (list, tuple, set, frozenset)):
            for item in list(value)[:MOST_ITEMS]:
                self.add(item, chain)
        elif isinstance(value, Mapping) and kind is dict:
            for item in list(value.values())[:MOST_ITEMS]:
                self.add(item, chain)
        else:
            self.look_object(value, chain)

    def judge(self, module: str | None, chain: tuple[str, ...]) -> bool:
        """Whether ``module`` is one whose own code is to be read; one that is not is judged here."""
        if not isinstance(module, str) or module not in sys.modules:
            return False
        if module not in self.unsafe and (is_own(module) or is_framework(module)):
            return True
        behind = self.graph.behind(module, self.unsafe)
        if behind is not None:
            names = [*chain] if chain[-1] in behind[:1] else [*chain, *behind[:1]]
            self.found.chain = [*names, *behind[1:]]
        return False

    def look_module(self, module: ModuleType, chain: tuple[str, ...], attributes: frozenset[str] | None) -> None:
        name = module.__name__
        if chain[-1] != name:
            chain = (*chain, name)
        if not self.judge(name, chain):
            return
        if attributes is None:
            if is_own(name):
                self.doubt(f"the module {name} as a whole")
            return
        for attribute in sorted(attributes):
            if attribute in vars(module):
                self.add(vars(module)[attribute], (*chain[:-1], f"{name}.{attribute}"))

    def look_function(self, function: FunctionType, chain: tuple[str, ...]) -> None:
        self.add(inspect.getattr_static(function, "__wrapped__", None), chain)
        if not self.judge(function.__module__, chain):
            return
        closure = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
        for name, cell in closure.items():
            try:
                content = cell.cell_contents
            except ValueError:
                continue
            self.add(content, (*chain, name if not callable(content) else name_of(content)))
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            # FastAPI's Depends(f).
            self.add(getattr(default, "dependency", default), (*chain, name_of(getattr(default, "dependency", default))))
        for annotation in list(getattr(function, "__annotations__", {}).values()):
            for part in getattr(annotation, "__metadata__", ()):
                self.add(getattr(part, "dependency", None), (*chain, name_of(getattr(part, "dependency", None))))
        self.look_code(function.__code__, function.__globals__, chain)

    def look_code(self, code: CodeType, names: dict[str, Any], chain: tuple[str, ...]) -> None:
        for name, attributes in loads(code):
            if name in DYNAMIC:
                self.look_dynamic(name, code, chain)
            if name in names:
                value = names[name]
                label = name_of(value) if callable(value) and not isinstance(value, StandIn) else name
                self.add(value, (*chain, label), attributes if isinstance(value, ModuleType) else None)
        for module, items in imports(code, names):
            self.look_import(module, items, chain)
        if self.state_is_unsafe and "state" in code.co_names:
            self.doubt(f"{code.co_qualname} reads .state, which the lifespan fills with the help of such a module")
        if "import_module" in code.co_names:
            self.look_dynamic("import_module", code, chain)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self.look_code(constant, names, chain)

    def look_dynamic(self, name: str, code: CodeType, chain: tuple[str, ...]) -> None:
        if name in ("import_module", "__import__"):
            texts = [text for text in code.co_consts if isinstance(text, str) and importable(text)]
            for text in texts:
                self.look_import(text, (), chain)
            if texts:
                return
        self.doubt(f"{code.co_qualname} calls {name}")

    def look_import(self, module: str, items: tuple[str, ...], chain: tuple[str, ...]) -> None:
        """An import inside a function: done here, so that what it brings is known."""
        try:
            importlib.import_module(module)
        except BaseException as exc:
            if isinstance(exc, KeyboardInterrupt):
                raise
            if not (isinstance(exc, ImportError) and not importable(module)):
                self.doubt(f"importing {module} raises {type(exc).__name__}")
            return
        self.unsafe = self.unsafe_names()
        for item in items:
            if importable(f"{module}.{item}") and not hasattr(sys.modules[module], item):
                self.look_import(f"{module}.{item}", (), chain)
        # Without items the name may be read in any way.
        attributes = frozenset(items) if items and "*" not in items else frozenset(vars(sys.modules[module]))
        self.add(sys.modules[module], (*chain, module), attributes if is_own(module) or is_framework(module) else None)

    def look_class(self, cls: type, chain: tuple[str, ...]) -> None:
        for base in cls.__mro__:
            if base is object or not self.judge(base.__module__, chain):
                continue
            if is_framework(base.__module__) and base is not cls:
                # What a framework's base classes reach, every app reaches.
                continue
            for member in vars(base).values():
                self.add(member, chain)

    def look_object(self, value: Any, chain: tuple[str, ...]) -> None:
        kind = type(value)
        module = getattr(value, "__module__", None) if isinstance(value, BuiltinFunctionType) else kind.__module__
        if module in (None, "builtins"):
            module = getattr(value, "__module__", None)
        wrapped = inspect.getattr_static(value, "__wrapped__", None)
        self.add(wrapped, chain)
        if isinstance(module, str) and module not in sys.modules:
            # An extension may call itself by another name than it is imported by.
            return
        if isinstance(module, str) and is_own(module):
            self.add(kind, (*chain, name_of(kind)))
            members = inspect.getattr_static(value, "__dict__", None)
            if members is not None:
                for member in list(vars(value).values())[:MOST_ITEMS]:
                    self.add(member, (*chain, name_of(member)))
        elif not (isinstance(module, str) and is_framework(module)):
            self.judge(module, chain)


def name_of(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, (FunctionType, type, BuiltinFunctionType)):
        module = getattr(value, "__module__", None)
        name = value.__qualname__
        return name if module in (None, "builtins", "__main__") else f"{module}.{name}"
    if isinstance(value, MethodType):
        return name_of(value.__func__)
    if isinstance(value, functools.partial):
        return name_of(value.func)
    return type(value).__qualname__


def loads(code: CodeType) -> Iterator[tuple[str, frozenset[str] | None]]:
    """Global names that ``code`` loads, each with the attributes read off it; None where it is used whole."""
    found: dict[str, set[str] | None] = {}
    instructions = list(dis.get_instructions(code))
    for index, instruction in enumerate(instructions):
        if instruction.opname not in ("LOAD_GLOBAL", "LOAD_NAME"):
            continue
        following = instructions[index + 1] if index + 1 < len(instructions) else None
        name = instruction.argval
        if following is not None and following.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes = found.setdefault(name, set())
            if attributes is not None:
                attributes.add(following.argval)
        else:
            found[name] = None
    for name, attributes in found.items():
        yield name, None if attributes is None else frozenset(attributes)


def imports(code: CodeType, names: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Modules that ``code`` imports, with the names taken from each."""
    instructions = list(dis.get_instructions(code))
    for index, instruction in enumerate(instructions):
        if instruction.opname != "IMPORT_NAME":
            continue
        fromlist = instructions[index - 1].argval if index else None
        level = instructions[index - 2].argval if index > 1 else 0
        name = instruction.argval
        if isinstance(level, int) and level > 0:
            try:
                name = importlib.util.resolve_name("." * level + name, names.get("__package__") or names.get("__name__"))
            except ImportError:
                continue
        yield name, tuple(fromlist) if isinstance(fromlist, tuple) else ()


def importable(name: str) -> bool:
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False
