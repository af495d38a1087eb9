"""What the functions of an app's own modules may change of what outlives a call, read from their source.

Nothing is run. A value stands for what it may be: the objects themselves where names lead to
them, else what has some name, or anything. What a function makes itself is its own to change.
Where several values are possible all of them count, so what is missed is not what may happen
but what the source does not show (``eval``, a module without source: said in ``unreadable``).
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

from freelane.fastcore.interpreted import interpreted
from freelane.gil_lane.detect.scope import FUNCTIONS, Function, Scope, is_app
from freelane.gil_lane.detect.values import ANYTHING, APP, FRESH, NEW, PLAIN, STATE, Root, Value, union

# What gives another answer in another process.
VOLATILE = {
    "uuid1", "uuid4", "uuid7", "token_hex", "token_urlsafe", "token_bytes", "urandom", "random", "randint", "randrange",
    "randbytes", "getrandbits", "choice", "choices", "sample", "shuffle", "uniform", "time", "time_ns", "monotonic",
    "perf_counter", "now", "utcnow", "today", "getpid", "mkdtemp", "mkstemp", "NamedTemporaryFile", "TemporaryDirectory",
    "generate_key", "generate_private_key", "gensalt", "SystemRandom", "Random", "mktemp",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """``name`` is an attribute ("*" for any), a method, or "" for an item; ``where`` the function that does it."""

    root: Root
    kind: str  # "attribute", "item" or "method"
    name: str
    where: str


class Changes:
    """Everything that the functions of ``modules`` may change. Made once; not changed afterwards.

    ``slots`` are names in modules, ``cells`` names of enclosing functions by their file, ``state``
    names in ``app.state``; each with who changes it. ``made`` are the classes and functions whose
    results the objects of a class keep.
    """

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self.changes: list[Change] = []
        self.slots: dict[tuple[str, str], str] = {}
        self.cells: dict[tuple[str, str], str] = {}
        self.state: dict[str, str] = {}
        self.made: dict[tuple[str, str], list[Any]] = {}
        self.unreadable: list[str] = []
        self.kept: dict[int, Any] = {}
        self.sources: dict[str, Source] = {}
        for module in modules:
            tree = parse(module)
            if tree is None:
                self.unreadable.append(f"{module.__name__} has no source that can be read")
            else:
                self.sources[module.__name__] = Source(self, module, tree)
        # Names that the app's own functions have: what such a method gives may be anything.
        self.own_names = {name for source in self.sources.values() for name in source.names}
        self.results: dict[int, Value] = {}
        for source in self.sources.values():
            source.read()

    def value_of(self, thing: Any) -> Value:
        if isinstance(thing, PLAIN):
            return FRESH
        thing = interpreted(thing)
        self.kept[id(thing)] = thing
        return Value(frozenset({("is", id(thing))}))

    def add(self, value: Value, kind: str, name: str, where: str) -> None:
        for root in value.roots - {NEW}:
            if root in (APP, STATE) or (root[0] == "is" and is_app(self.kept[root[1]])):
                self.state.setdefault(name or "*", where)
            elif root[0] == "is" and isinstance(module := self.kept[root[1]], ModuleType):
                if kind == "attribute":
                    self.slots.setdefault((module.__name__, name), where)
            else:
                self.changes.append(Change(root, kind, name, where))

    def function(self, function: FunctionType) -> tuple[Source, Function] | None:
        """Where a function of the app's is written."""
        code = function.__code__
        source = self.sources.get(function.__globals__.get("__name__", ""))
        if source is None or code.co_filename != source.file:
            return None
        found = source.functions.get((code.co_firstlineno, code.co_name))
        return (source, found) if found is not None else None

    def result(self, function: FunctionType) -> Value:
        """What a function of the app's may give."""
        key = id(function)
        if key not in self.results:
            self.results[key] = ANYTHING  # while it is looked at
            found = self.function(function)
            if found is not None:
                scope = Scope(found[0], found[1], None, None)
                self.results[key] = union(scope.returned())
        return self.results[key]


def parse(module: ModuleType) -> ast.Module | None:
    file = getattr(module, "__file__", None)
    lines = linecache.getlines(file, vars(module)) if file else []
    try:
        return ast.parse("".join(lines)) if lines or (file and open(file).read() == "") else None
    except (SyntaxError, OSError, ValueError):
        return None


class Source:
    """One module's functions. ``functions`` finds them by the first line and the name that their code has."""

    def __init__(self, changes: Changes, module: ModuleType, tree: ast.Module) -> None:
        self.changes = changes
        self.module = module
        self.tree = tree
        self.file = module.__file__ or ""
        self.functions: dict[tuple[int, str], Function] = {}
        # Each with the class that it is a method of, if it is one, and the function around it.
        self.around: dict[Function, tuple[tuple[str, ast.ClassDef] | None, Function | None]] = {}
        self.names: set[str] = set()
        self.collect(tree, "", None, None)

    def collect(self, node: ast.AST, prefix: str, cls: tuple[str, ast.ClassDef] | None, outer: Function | None) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, FUNCTIONS):
                name = getattr(child, "name", "<lambda>")
                first = min([child.lineno, *(item.lineno for item in getattr(child, "decorator_list", ()))])
                self.functions[first, name] = child
                self.around[child] = (cls, outer)
                self.names.add(name)
                self.collect(child, f"{prefix}{name}.<locals>.", None, child)
            elif isinstance(child, ast.ClassDef):
                self.collect(child, f"{prefix}{child.name}.", (f"{prefix}{child.name}", child), outer)
            else:
                self.collect(child, prefix, cls, outer)

    def read(self) -> None:
        """Note what every function changes, and what differs from process to process from the import on."""
        scopes: dict[Function, Scope] = {}
        for function, (cls, outer) in self.around.items():  # outer ones first
            scopes[function] = scope = Scope(self, function, cls, scopes.get(outer) if outer is not None else None)
            scope.note()
        volatile = VOLATILE | {
            getattr(function, "name", "") for function in self.around if names_called(function) & VOLATILE
        }  # fmt: skip
        for statement in self.tree.body:
            value = getattr(statement, "value", None)
            if isinstance(statement, (ast.Assign, ast.AnnAssign)) and value is not None and names_called(value) & volatile:
                for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
                    for name in names_bound(target):
                        self.changes.slots.setdefault((self.module.__name__, name), "each process, as it is imported")


def names_called(node: ast.AST) -> set[str]:
    found: set[str] = set()
    for item in ast.walk(node):
        if isinstance(item, ast.Call):
            found.add(getattr(item.func, "attr", "") or getattr(item.func, "id", ""))
    return found


def names_bound(target: ast.AST) -> Iterator[str]:
    for item in ast.walk(target):
        if isinstance(item, ast.Name):
            yield item.id
