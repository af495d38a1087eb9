"""Follow the names that an endpoint can reach to the extension modules that need the GIL.

Reads, and never runs, the app's own functions: the globals they load, closures, defaults,
decorators (``__wrapped__``), methods of classes and instances, imports inside functions,
attributes of the app's modules. Installed packages are judged by what they import.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from opcode import opmap
from types import BuiltinFunctionType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

from freelane.fastcore.interpreted import interpreted
from freelane.gil_lane.detect.import_graph import ImportGraph, is_framework, is_own
from freelane.gil_lane.detect.import_stubs import StandIn

# How much of a container, and of all, is looked at.
MOST_ITEMS = 1000
MOST_NODES = 500_000

EXTENDED_ARG, LOAD_ATTR, LOAD_CONST = opmap["EXTENDED_ARG"], opmap["LOAD_ATTR"], opmap["LOAD_CONST"]
LOAD_GLOBAL, LOAD_NAME, IMPORT_NAME = opmap["LOAD_GLOBAL"], opmap["LOAD_NAME"], opmap["IMPORT_NAME"]
LOAD_SMALL_INT = opmap.get("LOAD_SMALL_INT", -1)  # 3.14

DYNAMIC = {"eval", "exec", "import_module", "__import__"}
PLAIN = (str, bytes, int, float, complex, bool, type(None), range, slice)
CONTAINERS = (list, tuple, set, frozenset, dict, deque)


@dataclass(slots=True)
class Verdict:
    """``chain`` leads to the extension, the endpoint first; ``doubts`` could not be followed."""

    chain: list[str] | None = None
    doubts: list[str] = field(default_factory=list)


class Node:
    """One object as it is used: ``attributes`` are the names read off it where it was loaded, None for all of it.

    - ``edges``: what it leads to, each with the names that a chain gets on the way.
    - ``tail``: the modules from here to an extension that needs the GIL, where there is one.
    - ``doubts``: what of it could not be followed; ``states``: functions that read ``.state``.
    - ``slots``: names in modules that a function reads, as (module, name); ``names``: every name in its code.
    - ``distance``: edges to the nearest node with a tail, and ``doubt_distance`` to one with doubts.
    """

    __slots__ = ("value", "attributes", "edges", "tail", "doubts", "states", "slots", "names", "distance", "doubt_distance")

    def __init__(self, value: Any, attributes: frozenset[str] | None) -> None:
        self.value = value
        self.attributes = attributes
        self.edges: list[tuple[Node, tuple[str, ...]]] = []
        self.tail: tuple[str, ...] | None = None
        self.doubts: list[str] = []
        self.states: list[str] = []
        self.slots: set[tuple[str, str]] = set()
        self.names: set[str] = set()
        self.distance: int | None = None
        self.doubt_distance: int | None = None


class Reach:
    """Answers for one app. ``unsafe`` are the names of extension modules that need the GIL.

    ``later(name)`` is the chain from a module that is not imported yet to such an extension. ``state``
    is what ``app.state`` holds.
    Every object is read once, whatever the number of endpoints that lead to it.
    """

    def __init__(
        self,
        graph: ImportGraph,
        unsafe: set[str],
        later: Callable[[str], tuple[str, ...] | None] = lambda name: None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.unsafe = unsafe
        self.later = later
        self.state = dict(state or {})
        self.nodes: dict[tuple[int, frozenset[str] | None], Node] = {}
        self.pending: list[Node] = []
        self.behind = graph.behind(unsafe)
        self.unloaded: dict[str, Unloaded] = {}
        self.truncated = False
        # Of the last verdicts: the node of each group's roots, and of the lifespan's.
        self.groups: list[list[Node]] = []
        self.startup: list[Node] = []

    def verdicts(self, groups: Iterable[tuple[Any, ...]], state: tuple[Any, ...] = ()) -> tuple[list[Verdict], Verdict]:
        """What each of ``groups`` (an endpoint and what runs around it) can reach, and what ``state``, the lifespan, can.

        Where the lifespan reaches an extension, what reads the state that it fills is a doubt.
        """
        roots = [
            [(self.node(root, None), (name_of(root),)) for root in group if not isinstance(root, PLAIN)] for group in groups
        ]
        startup = [(self.node(root, None), (name_of(root),)) for root in state if not isinstance(root, PLAIN)]
        self.groups = [[node for node, _ in group] for group in roots]
        self.startup = [node for node, _ in startup]
        self.read()
        self.measure("distance", [node for node in self.nodes.values() if node.tail is not None])
        verdict = self.verdict(startup)
        if verdict.chain is not None:
            for node in self.nodes.values():
                node.doubts += node.states
        self.measure("doubt_distance", [node for node in self.nodes.values() if node.doubts])
        return [self.verdict(group) for group in roots], verdict

    def verdict(self, roots: Sequence[tuple[Node, tuple[str, ...]]]) -> Verdict:
        if (nearest := closest(roots, "distance")) is not None:
            chain: list[str] = []
            while nearest is not None:
                node, names = nearest
                chain += names
                nearest = closest(node.edges, "distance") if node.distance else None
            chain += node.tail or ()
            return Verdict([name for index, name in enumerate(chain) if index == 0 or name != chain[index - 1]])
        nearest = closest(roots, "doubt_distance")
        if nearest is None:
            return Verdict(doubts=["more than can be followed"] if self.truncated else [])
        node = nearest[0]
        while node.doubt_distance:
            following = closest(node.edges, "doubt_distance")
            assert following is not None
            node = following[0]
        return Verdict(doubts=list(dict.fromkeys(node.doubts)))

    def measure(self, attribute: str, goals: list[Node]) -> None:
        """Set the distance of every node that leads to one of ``goals``, backwards from those."""
        before: dict[int, list[Node]] = {}
        for node in self.nodes.values():
            for target, _ in node.edges:
                before.setdefault(id(target), []).append(node)
        for node in goals:
            setattr(node, attribute, 0)
        queue = deque(goals)
        while queue:
            node = queue.popleft()
            distance = getattr(node, attribute) + 1
            for earlier in before.get(id(node), ()):
                if getattr(earlier, attribute) is None:
                    setattr(earlier, attribute, distance)
                    queue.append(earlier)

    def node(self, value: Any, attributes: frozenset[str] | None) -> Node:
        value = interpreted(value)
        key = id(value), attributes
        found = self.nodes.get(key)
        if found is None:
            found = self.nodes[key] = Node(value, attributes)
            self.pending.append(found)
        return found

    def read(self) -> None:
        while self.pending:
            if len(self.nodes) > MOST_NODES:
                self.truncated = True
                return
            node = self.pending.pop()
            try:
                self.look(node)
            except Exception as exc:  # an object of the app's that answers no questions
                node.doubts.append(f"a {type(node.value).__name__} cannot be read ({type(exc).__name__})")

    def add(self, node: Node, value: Any, *names: str, attributes: frozenset[str] | None = None) -> None:
        """``node`` leads to ``value``, which is called by the last of ``names``."""
        if isinstance(value, PLAIN):
            return
        if isinstance(value, ModuleType) and names[-1:] == (value.__name__,):
            names = names[:-1]  # what is read off it names it again
        node.edges.append((self.node(value, attributes), names))

    def look(self, node: Node) -> None:
        value = node.value
        # Only what can be read without running code of the app's.
        kind = type(value)
        if kind is StandIn:
            node.tail = (object.__getattribute__(value, "name"),)
        elif kind is Unloaded:
            node.tail = self.later(value.name)
        elif isinstance(value, ModuleType):
            self.look_module(node, value)
        elif kind is FunctionType:
            self.look_function(node, value)
        elif kind is MethodType:
            self.add(node, value.__func__)
            self.add(node, value.__self__)
        elif isinstance(value, functools.partial):
            for part in (value.func, *value.args, *value.keywords.values()):
                self.add(node, part, name_of(part))
        elif isinstance(value, type):
            self.look_class(node, value)
        elif isinstance(value, (staticmethod, classmethod)):
            self.add(node, value.__func__)
        elif kind is ContextVar:
            try:
                self.add(node, value.get())
            except LookupError:
                pass
        elif isinstance(value, property):
            for part in (value.fget, value.fset, value.fdel):
                self.add(node, part)
        else:
            for item in items_of(value)[:MOST_ITEMS]:
                self.add(node, item)
            if kind not in CONTAINERS:
                self.look_object(node, value)

    def judge(self, node: Node, module: str | None) -> bool:
        """Whether ``module`` is one whose own code is to be read; one that is not is judged here."""
        if not isinstance(module, str) or module not in sys.modules:
            return False
        if module not in self.unsafe and (is_own(module) or is_framework(module)):
            return True
        node.tail = node.tail or self.behind(module)
        return False

    def look_module(self, node: Node, module: ModuleType) -> None:
        name = module.__name__
        if not self.judge(node, name):
            if module is os and "environ" in (node.attributes or ()):
                self.add(node, os.environ, "os.environ")
            return
        if node.attributes is None:
            if is_own(name):
                node.doubts.append(f"the module {name} as a whole")
            return
        for attribute in sorted(node.attributes):
            if attribute in vars(module):
                self.add(node, vars(module)[attribute], f"{name}.{attribute}")

    def look_function(self, node: Node, function: FunctionType) -> None:
        self.add(node, inspect.getattr_static(function, "__wrapped__", None))
        if not self.judge(node, function.__module__):
            return
        closure = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
        for name, cell in closure.items():
            try:
                content = cell.cell_contents
            except ValueError:
                continue
            self.add(node, content, name if not callable(content) else name_of(content))
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            # FastAPI's Depends(f).
            self.add(node, getattr(default, "dependency", default), name_of(getattr(default, "dependency", default)))
        try:
            annotations = list(getattr(function, "__annotations__", {}).values())
        except Exception:  # names that only a type checker has
            annotations = []
        for annotation in annotations:
            for part in getattr(annotation, "__metadata__", ()):
                self.add(node, getattr(part, "dependency", None), name_of(getattr(part, "dependency", None)))
        self.look_code(node, function.__code__, function.__globals__)

    def look_code(self, node: Node, code: CodeType, names: dict[str, Any]) -> None:
        loaded, imported = names_in(code)
        node.names.update(code.co_names, (text for text in code.co_consts if isinstance(text, str)))
        module_name = names.get("__name__", "")
        for name, attributes in loaded.items():
            if name in DYNAMIC:
                self.look_dynamic(node, name, code)
            node.slots.add((module_name, name))
            if name in names:
                value = names[name]
                if isinstance(value, ModuleType):
                    node.slots.update((value.__name__, attribute) for attribute in attributes or ("*",))
                label = name_of(value) if callable(value) and not isinstance(value, StandIn) else name
                self.add(
                    node, value, label,
                    attributes=frozenset(attributes) if attributes is not None and isinstance(value, ModuleType) else None,
                )  # fmt: skip
        for module, items, level in imported:
            if level:
                try:
                    package = names.get("__package__") or names.get("__name__") or ""
                    module = importlib.util.resolve_name("." * level + module, package)
                except ImportError:
                    continue
            self.look_import(node, module, items)
        if "state" in code.co_names:
            for name in self.state.keys() & {*code.co_names, *code.co_consts}:
                self.add(node, self.state[name], f"app.state.{name}")
            node.states.append(f"{code.co_qualname} reads .state, which the lifespan fills with the help of such a module")
        if "import_module" in code.co_names:
            self.look_dynamic(node, "import_module", code)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self.look_code(node, constant, names)

    def look_dynamic(self, node: Node, name: str, code: CodeType) -> None:
        if name in ("import_module", "__import__"):
            texts = [text for text in code.co_consts if isinstance(text, str) and importable(text)]
            for text in texts:
                self.look_import(node, text, ())
            if texts:
                return
        node.doubts.append(f"{code.co_qualname} calls {name}")

    def look_import(self, node: Node, module: str, items: tuple[str, ...]) -> None:
        """An import inside a function: read if it was done already, and never done here."""
        if module not in sys.modules:
            self.add(node, self.unloaded.setdefault(module, Unloaded(module)), module)
            return
        there = vars(sys.modules[module])
        for item in items:
            if item not in there and item != "*":
                self.look_import(node, f"{module}.{item}", ())
        # Without items the name may be read in any way.
        attributes = frozenset(items) if items and "*" not in items else frozenset(there)
        self.add(
            node, sys.modules[module], module, attributes=attributes if is_own(module) or is_framework(module) else None
        )  # fmt: skip

    def look_class(self, node: Node, cls: type) -> None:
        for base in cls.__mro__:
            if base is object or not self.judge(node, base.__module__):
                continue
            if is_framework(base.__module__) and base is not cls:
                # What a framework's base classes reach, every app reaches.
                continue
            for member in vars(base).values():
                self.add(node, member)

    def look_object(self, node: Node, value: Any) -> None:
        kind = type(value)
        module = getattr(value, "__module__", None) if isinstance(value, BuiltinFunctionType) else kind.__module__
        if module in (None, "builtins"):
            module = getattr(value, "__module__", None)
        self.add(node, inspect.getattr_static(value, "__wrapped__", None))
        if isinstance(module, str) and module not in sys.modules:
            # An extension may call itself by another name than it is imported by.
            return
        if isinstance(module, str) and is_own(module):
            self.add(node, kind, name_of(kind))
            members = inspect.getattr_static(value, "__dict__", None)
            if members is not None:
                for member in list(vars(value).values())[:MOST_ITEMS]:
                    self.add(node, member, name_of(member))
            for member in slots_of(value):
                self.add(node, member, name_of(member))
        elif isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, ModuleType):
            self.add(node, value.__self__)  # a method that was taken off its object
            self.judge(node, module)
        elif not (isinstance(module, str) and is_framework(module)):
            self.judge(node, module)


def items_of(value: Any) -> list[Any]:
    """What a container of Python's own, or one made from it, holds; of a dict the values."""
    for kind in (list, tuple, set, frozenset, deque):
        if isinstance(value, kind):
            return list(kind.__iter__(value))
    return list(dict.values(value)) if isinstance(value, dict) else []


def slots_of(value: Any) -> list[Any]:
    """What an object's ``__slots__`` hold."""
    found = []
    for cls in type(value).__mro__:
        for member in vars(cls).values():
            if isinstance(member, MemberDescriptorType):
                try:
                    found.append(member.__get__(value))
                except AttributeError:
                    pass
    return found


def closest(edges: Sequence[tuple[Node, tuple[str, ...]]], attribute: str) -> tuple[Node, tuple[str, ...]] | None:
    """The first of those that are nearest to a goal."""
    reaching = [edge for edge in edges if getattr(edge[0], attribute) is not None]
    return min(reaching, key=lambda edge: getattr(edge[0], attribute), default=None)


@dataclass(frozen=True, slots=True)
class Unloaded:
    """A module that some function would import, and nobody has yet."""

    name: str


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


def instructions(code: CodeType) -> Iterator[tuple[int, int]]:
    """(opcode, argument), without the interpreter's caches; ``dis`` takes a hundred times as long."""
    raw = code.co_code
    extended = 0
    for at in range(0, len(raw), 2):
        operation = raw[at]
        argument = raw[at + 1] | extended
        extended = argument << 8 if operation == EXTENDED_ARG else 0
        if operation and operation != EXTENDED_ARG:
            yield operation, argument


def names_in(code: CodeType) -> tuple[dict[str, set[str] | None], list[tuple[str, tuple[str, ...], int]]]:
    """Global names that ``code`` loads, each with the attributes read off it (None where it is used whole).

    And what it imports: the module, the names taken from it, the dots in front.
    """
    loaded: dict[str, set[str] | None] = {}
    imported: list[tuple[str, tuple[str, ...], int]] = []
    names, constants = code.co_names, code.co_consts
    last = earlier = (0, 0)
    waiting: str | None = None
    for operation, argument in instructions(code):
        if waiting is not None:
            if operation == LOAD_ATTR:
                attributes = loaded.setdefault(waiting, set())
                if attributes is not None:
                    attributes.add(names[argument >> 1])
            else:
                loaded[waiting] = None
            waiting = None
        if operation == LOAD_GLOBAL:
            waiting = names[argument >> 1]
        elif operation == LOAD_NAME:
            waiting = names[argument]
        elif operation == IMPORT_NAME:
            items = constants[last[1]] if last[0] == LOAD_CONST else None
            level = earlier[1] if earlier[0] == LOAD_SMALL_INT else constants[earlier[1]] if earlier[0] == LOAD_CONST else 0
            imported.append(
                (names[argument], items if isinstance(items, tuple) else (), level if isinstance(level, int) else 0)
            )
        earlier, last = last, (operation, argument)
    if waiting is not None:
        loaded[waiting] = None
    return loaded, imported


def importable(name: str) -> bool:
    """Whether ``name`` may be a module's; finds out without importing the packages that it is in."""
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name.partition(".")[0]) is not None
    except (ImportError, ValueError, AttributeError):
        return False
