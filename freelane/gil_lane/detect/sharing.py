"""Whether the routes that would move to the gil lane share with the rest anything that somebody changes.

Only then is the answer the same wherever they run. What cannot be judged is taken for shared
and changed; constants, functions, and objects that nobody writes to are not.
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from enum import Enum
from types import BuiltinFunctionType, CellType, FunctionType, GetSetDescriptorType, MethodType, ModuleType
from typing import Any

from freelane.fastcore.interpreted import interpreted
from freelane.gil_lane.detect.call_graph import CONTAINERS, PLAIN, Node, name_of
from freelane.gil_lane.detect.changes import Change, Changes
from freelane.gil_lane.detect.import_graph import is_framework, is_own
from freelane.gil_lane.detect.scope import MUTATORS, Scope
from freelane.gil_lane.detect.values import ANY

# The most that a line names.
MOST = 5

# Types of the standard library whose objects nobody changes, or whose changes no answer shows.
STILL = {"re", "logging", "datetime", "decimal.Decimal", "fractions", "uuid", "pathlib", "zoneinfo", "ipaddress", "enum",
         "typing", "types", "operator", "string", "inspect", "abc", "_abc", "contextvars", "_contextvars", "dataclasses",
         "_struct", "functools",
         "codecs", "random.Random", "_random.Random", "numbers", "builtins", "http", "importlib",
         "_frozen_importlib"}  # fmt: skip
CHANGEABLE = {"types.SimpleNamespace", "contextvars.Context", "_contextvars.Context"}
# Packages whose functions keep nothing that an answer shows.
STATELESS = {"orjson", "ujson", "msgspec", "jwt", "markupsafe", "jinja2", "yaml", "dateutil", "itsdangerous", "multipart",
             "python_multipart", "email_validator", "certifi", "idna", "bcrypt", "annotated_types", "typing_extensions",
             "typing_inspection", "pydantic_core", "pydantic_settings", "dotenv", "annotated_doc", "sniffio"}  # fmt: skip
# What begins work that goes on by itself.
STARTING = {"create_task", "ensure_future", "start_soon", "start_blocking_portal", "Thread", "Timer", "Process", "Popen",
            "submit", "add_job", "create_subprocess_exec", "create_subprocess_shell", "run_in_executor", "call_later",
            "call_soon"}  # fmt: skip


def reasons(moved: Iterable[Node], rest: Iterable[Node], startup: Iterable[Node], around: Iterable[Any]) -> list[str]:
    """Why the routes of ``moved`` may not run apart from ``rest``, which has ``startup``; empty where they may.

    ``around`` are the classes of middleware, each with one object in every process.
    """
    return Sharing(list(moved), list(rest), list(startup)).reasons(around)


def own_modules() -> list[ModuleType]:
    return [module for name, module in sorted(sys.modules.items()) if isinstance(module, ModuleType) and is_own(name)]


class Sharing:
    def __init__(self, moved: list[Node], rest: list[Node], startup: list[Node]) -> None:
        self.moved = reached(moved)
        self.rest = reached([*rest, *startup])
        self.startup = reached(startup)
        self.changes = Changes(own_modules())
        self.labels: dict[int, set[str]] = {}
        self.titles: dict[int, str] = {}
        for node in (*self.moved.values(), *self.rest.values()):
            self.label(node.value)
        self.by_root: dict[tuple[Any, ...], list[Change]] = {}
        for change in self.changes.changes:
            self.by_root.setdefault(change.root, []).append(change)
        self.within = self.changed_within()
        self.known_state: dict[type, str | None] = {}

    def reasons(self, around: Iterable[Any]) -> list[str]:
        there = {id(node.value): node.value for node in self.moved.values()}
        here = {id(node.value) for node in self.rest.values()}
        found = list(dict.fromkeys([
            *self.changes.unreadable,
            *self.slots(),
            *self.cells(),
            *self.states(),
            *(reason for key, value in there.items() if key in here and (reason := self.object(value))),
            *(reason for cls in around if (reason := self.one_of(cls))),
            *self.work(),
        ]))  # fmt: skip
        return found if len(found) <= MOST else [*found[:MOST], f"{len(found) - MOST} more"]

    def label(self, value: Any) -> None:
        """Note the names by which others know what ``value`` leads to."""
        named: Iterable[tuple[str, Any]] = ()
        prefix = ""
        if isinstance(value, FunctionType):
            module = value.__globals__.get("__name__", "")
            if not is_own(module):
                return
            prefix = f"{module}."
            closure = zip(value.__code__.co_freevars, value.__closure__ or ())
            named = [(name, cell.cell_contents) for name, cell in closure if filled(cell)]
            named += [(name, value.__globals__[name]) for name in names_of_code(value) if name in value.__globals__]
        elif isinstance(value, ModuleType) and is_own(value.__name__):
            named, prefix = list(vars(value).items()), f"{value.__name__}."
        elif isinstance(value, type):
            named, prefix = list(vars(value).items()), f"{name_of(value)}."
        elif is_own(type(value).__module__):
            named, prefix = list(getattr(value, "__dict__", {}).items()), f"{name_of(type(value))}."
        for name, thing in named:
            thing = interpreted(thing)
            if not isinstance(thing, PLAIN):
                self.labels.setdefault(id(thing), set()).add(name)
                self.titles.setdefault(id(thing), prefix + name)

    def title(self, value: Any) -> str:
        return self.titles.get(id(value)) or f"a {type(value).__qualname__}"

    def changed_within(self) -> dict[int, str]:
        """Objects of which something inside is changed, and by whom; what is inside counts as well."""
        found: dict[int, str] = {}
        nodes: dict[int, Node] = {}
        for node in (*self.moved.values(), *self.rest.values()):
            nodes.setdefault(id(node.value), node)
        for root, changes in self.by_root.items():
            if root[0] == "in" and root[1] in nodes:
                for node in reached([nodes[root[1]]]).values():
                    for change in changes:
                        if self.fits(node.value, change):
                            found.setdefault(id(node.value), change.where)
        return found

    def slots(self) -> Iterator[str]:
        there, here = slots_of_all(self.moved), slots_of_all(self.rest)
        for (module, name), where in self.changes.slots.items():
            if name == "*":
                if any(slot[0] == module for slot in there) and any(slot[0] == module for slot in here):
                    yield f"names of {module} (changed by {where})"
            elif all((module, name) in side or (module, "*") in side for side in (there, here)):
                yield f"{module}.{name} (changed by {where})"

    def cells(self) -> Iterator[str]:
        there, here = cells_of_all(self.moved), cells_of_all(self.rest)
        for cell in there.keys() & here.keys():
            file, name, owner = there[cell]
            if where := self.changes.cells.get((file, name)):
                yield f"{name} of {owner} (changed by {where})"

    def states(self) -> Iterator[str]:
        there, here = words_of_all(self.moved), words_of_all(self.rest)
        for name, where in self.changes.state.items():
            if name == "*" and "state" in there & here or name in there and name in here:
                yield f"app.state.{'' if name == '*' else name} (changed by {where})"
        yielded = {name for node in self.startup.values() if is_generator(node.value) for name in node.names}
        served = words_of_all({key: node for key, node in self.rest.items() if key not in self.startup})
        for name in sorted(yielded & there & served if "state" in there & served else ()):
            if name not in COMMON and name.isidentifier():
                yield f"request.state.{name} (made by the lifespan)"

    def object(self, value: Any) -> str | None:
        """Why an object that both sides reach is one too much; None where it is not."""
        kind = type(value)
        if isinstance(value, PLAIN) or isinstance(value, (Enum, BaseException)):
            return None
        if isinstance(value, ModuleType):
            return package(value.__name__)
        if isinstance(value, type):
            return (package(value.__module__) if not issubclass(value, BaseException) else None) or self.changed(value)
        if isinstance(value, FunctionType):
            return package(value.__globals__.get("__name__", "")) or self.changed(value)
        if isinstance(value, functools._lru_cache_wrapper):
            return self.cached(value)
        if isinstance(value, BuiltinFunctionType):
            owner = getattr(value, "__self__", None)
            return package(value.__module__ or "") or (
                self.object(owner) if owner is not None and not isinstance(owner, ModuleType) else None
            )
        if isinstance(value, (MethodType, staticmethod, classmethod, property, functools.partial, GetSetDescriptorType)):
            return None  # what they hold is looked at by itself
        if kind in (tuple, frozenset):
            return None
        if kind in CONTAINERS or kind.__module__ in ("builtins", "collections", "os") and hasattr(kind, "__setitem__"):
            if kind.__name__ == "defaultdict":
                return f"{self.title(value)} (a defaultdict, which grows as it is read)"
            return self.changed(value)
        if is_own(kind.__module__):
            return self.instance(value)
        return self.foreign(value)

    def foreign(self, value: Any) -> str | None:
        """An object of a class that nobody of the app's wrote."""
        kind = type(value)
        module, name = kind.__module__, f"{kind.__module__}.{kind.__qualname__}"
        top = module.partition(".")[0]
        if top != "anyio" and is_framework(module):
            return None
        if top in STATELESS:
            return self.changed(value)
        if any(is_still(base) for base in kind.__mro__[:-1]) or kind is object:
            if name not in CHANGEABLE and not hasattr(kind, "__next__"):
                return self.changed(value)
        return f"{self.title(value)} ({article(kind.__qualname__)}, which may change)"

    def instance(self, value: Any) -> str | None:
        strange = next((base for base in type(value).__mro__ if not known_class(base)), None)
        if strange is not None:
            return f"{self.title(value)} ({article(strange.__module__ + '.' + strange.__qualname__)}, which may change)"
        for cls in type(value).__mro__:
            for change in self.by_root.get(("self", cls.__module__, cls.__qualname__), ()):
                if change.kind == "attribute" or isinstance(value, CONTAINERS):
                    return f"{self.title(value)} (changed by {change.where})"
        return self.changed(value)

    def changed(self, value: Any) -> str | None:
        labels = self.labels.get(id(value), ())
        roots = [("is", id(value)), *(("named", label) for label in labels), ANY]
        for root in roots:
            for change in self.by_root.get(root, ()):
                if self.fits(value, change, exact=root[0] == "is"):
                    return f"{self.title(value)} (changed by {change.where})"
        if id(value) in self.within:
            return f"{self.title(value)} (changed by {self.within[id(value)]})"
        return None

    def fits(self, value: Any, change: Change, exact: bool = False) -> bool:
        """Whether a change may be one of ``value``, by what can be done to it."""
        kind = type(value)
        if change.kind == "attribute":
            if isinstance(value, CONTAINERS) and kind in CONTAINERS:
                return False
            return exact or change.name == "*" or (
                not is_framework(kind.__module__) and (
                    change.name in getattr(value, "__dict__", ()) or change.name in getattr(kind, "__annotations__", ())
                )
            )  # fmt: skip
        container = isinstance(value, CONTAINERS) or kind.__module__ in ("builtins", "collections", "os")
        if not container or isinstance(value, (tuple, frozenset)):
            return False
        return hasattr(kind, "__setitem__") if change.kind == "item" else change.name in MUTATORS and (
            hasattr(kind, change.name) or change.name == "__iadd__"
        )  # fmt: skip

    def cached(self, wrapper: Any) -> str | None:
        """A function whose results are kept: what it gives is one object for both sides."""
        title = name_of(wrapper.__wrapped__) if hasattr(wrapper, "__wrapped__") else "a cached function"
        for change in self.by_root.get(("in", id(wrapper)), ()):
            return f"what {title} keeps (changed by {change.where})"
        function = interpreted(wrapper.__wrapped__)
        found = self.changes.function(function) if isinstance(function, FunctionType) else None
        if found is None:
            return package(getattr(wrapper, "__module__", "") or "")
        for made in Scope(found[0], found[1], None, None).made():
            if reason := self.one_of(made):
                return f"what {title} keeps: {reason}"
        return None

    def one_of(self, cls: Any) -> str | None:
        """Why objects of ``cls`` that are not made yet would be one too much, one in every process."""
        if not isinstance(cls, type):
            return None
        if cls not in self.known_state:
            self.known_state[cls] = None
            self.known_state[cls] = self.find_state(cls)
        return self.known_state[cls]

    def find_state(self, cls: type) -> str | None:
        name = f"objects of {name_of(cls)}"
        if not is_own(cls.__module__):
            if issubclass(cls, (*PLAIN[:6], *CONTAINERS, BaseException)) or known_class(cls):
                return None
            return f"{name} (which may change)"
        for base in cls.__mro__:
            if not known_class(base):
                return f"{name} ({article(base.__module__ + '.' + base.__qualname__)}, which may change)"
            key = base.__module__, base.__qualname__
            for change in self.by_root.get(("self", *key), ()):
                return f"{name} (changed by {change.where})"
            for root, changes in self.by_root.items():
                if root[:3] == ("own", *key):
                    return f"{name} (changed by {changes[0].where})"
            for made in self.changes.made.get(key, ()):
                if made is None:
                    return f"{name} (which keep what cannot be told)"
                if isinstance(made, type) and (reason := self.one_of(made)):
                    return f"{name}, which keep {reason}"
        for change in self.by_root.get(ANY, ()):
            if change.kind == "attribute" and any(change.name in getattr(base, "__annotations__", ()) for base in cls.__mro__):
                return f"{name} (changed by {change.where})"
        return None

    def work(self) -> Iterator[str]:
        """What the lifespan would begin twice."""
        for node in self.startup.values():
            if isinstance(node.value, FunctionType) and is_own(node.value.__globals__.get("__name__", "")):
                for name in sorted(node.names & STARTING):
                    yield f"work that the lifespan starts ({name_of(node.value)} uses {name})"


# Words of every function that makes a state for requests.
COMMON = {"app", "state", "request", "self"}


def reached(roots: Iterable[Node]) -> dict[int, Node]:
    """Every node that ``roots`` lead to; of the frameworks' own functions, only what the app gave them."""
    found = {id(node): node for node in roots}
    queue = deque(found.values())
    while queue:
        node = queue.popleft()
        targets: Iterable[Node] = (target for target, _ in node.edges)
        if isinstance(node.value, FunctionType) and is_framework(node.value.__globals__.get("__name__", "")):
            given = {id(cell.cell_contents) for cell in node.value.__closure__ or () if filled(cell)}
            given |= {id(value) for value in node.value.__defaults__ or ()} | {id(getattr(node.value, "__wrapped__", None))}
            targets = [target for target in targets if id(target.value) in given]
        for target in targets:
            if id(target) not in found:
                found[id(target)] = target
                queue.append(target)
    return found


def known_class(cls: type) -> bool:
    """Whether objects of ``cls`` do what can be read: the app's own, the frameworks', and Python's plain ones."""
    module = cls.__module__
    if cls is object or is_own(module):
        return True
    top = module.partition(".")[0]
    if top in STATELESS or is_framework(module) and top != "anyio":
        return True
    return module in ("collections", "collections.abc", "_collections_abc") or is_still(cls)


def is_still(cls: type) -> bool:
    module, name = cls.__module__, cls.__qualname__
    return module in STILL or module.partition(".")[0] in STILL or f"{module}.{name}" in STILL


def package(module: str) -> str | None:
    """An installed package that both sides use, of which nothing is known."""
    top = module.partition(".")[0]
    if not top or is_own(module) or is_framework(module) or top in sys.stdlib_module_names or top in STATELESS:
        return None
    return f"{top} (a package that may keep something)"


def article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def filled(cell: CellType) -> bool:
    try:
        cell.cell_contents
    except ValueError:
        return False
    return True


def is_generator(value: Any) -> bool:
    return isinstance(value, FunctionType) and bool(value.__code__.co_flags & 0x220)


def names_of_code(function: FunctionType) -> set[str]:
    found: set[str] = set()
    pending = [function.__code__]
    while pending:
        code = pending.pop()
        found.update(code.co_names)
        pending += [constant for constant in code.co_consts if isinstance(constant, type(code))]
    return found


def slots_of_all(nodes: dict[int, Node]) -> set[tuple[str, str]]:
    return {slot for node in nodes.values() if is_own_function(node.value) for slot in node.slots}


def words_of_all(nodes: dict[int, Node]) -> set[str]:
    return {name for node in nodes.values() if is_own_function(node.value) for name in node.names}


def is_own_function(value: Any) -> bool:
    return isinstance(value, FunctionType) and is_own(value.__globals__.get("__name__", ""))


def cells_of_all(nodes: dict[int, Node]) -> dict[int, tuple[str, str, str]]:
    found = {}
    for node in nodes.values():
        if is_own_function(node.value):
            code = node.value.__code__
            for name, cell in zip(code.co_freevars, node.value.__closure__ or ()):
                found[id(cell)] = code.co_filename, name, node.value.__qualname__.partition(".<locals>")[0]
    return found
