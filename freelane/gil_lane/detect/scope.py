"""One function's source: what its names may stand for, and what it changes."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import sys
from collections.abc import Iterator
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from freelane.fastcore.interpreted import interpreted
from freelane.gil_lane.detect.import_graph import is_framework, is_own
from freelane.gil_lane.detect.values import (
    ANY,
    ANYTHING,
    APP,
    FRESH,
    NEW,
    PLAIN,
    STATE,
    Root,
    Value,
    element,
    few,
    inside,
    union,
)  # fmt: skip

if TYPE_CHECKING:
    from freelane.gil_lane.detect.changes import Source

MUTATORS = {
    "append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse", "update", "setdefault", "popitem", "add",
    "discard", "intersection_update", "difference_update", "symmetric_difference_update", "appendleft", "extendleft",
    "popleft", "rotate", "move_to_end", "subtract", "frombytes", "fromlist", "byteswap", "new_child",
    "__setitem__", "__delitem__", "__iadd__", "__ior__", "__iand__", "__isub__", "__ixor__", "__imul__",
}  # fmt: skip
# Methods that give what is inside.
ACCESSORS = {"get", "pop", "popitem", "setdefault", "values", "items", "popleft", "copy", "most_common", "__getitem__"}
# Functions that give one of their arguments, or what is inside of it.
PASSING = {"next", "iter", "max", "min", "getattr", "vars", "reversed", "sorted", "list", "tuple", "dict", "set", "frozenset",
           "zip", "enumerate", "filter", "map", "copy", "reduce", "chain", "cast", "super", "wait_for", "gather",
           "replace"}  # fmt: skip
# Functions of libraries that change an argument.
CHANGING = {"heappush", "heappop", "heapify", "heapreplace", "heappushpop", "insort", "insort_left", "insort_right", "shuffle",
            "setitem", "delitem", "iadd", "ior", "iconcat", "next", "anext", "pack_into", "merge_dicts"}  # fmt: skip
# What the framework hands over for one request.
PER_REQUEST = {"request", "req", "websocket", "ws", "scope", "receive", "send", "message", "response", "background_tasks"}
# Methods that make an object, before anyone else has it.
MAKING = {"__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__", "__attrs_post_init__", "model_post_init"}

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def is_app(thing: Any) -> bool:
    return is_framework(type(thing).__module__) and hasattr(type(thing), "add_route")


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """What is in a function's body, without the bodies of those inside."""
    pending: list[ast.AST] = [function.body] if isinstance(function, ast.Lambda) else list(function.body)
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, FUNCTIONS):
            pending += [*node.args.defaults, *filter(None, node.args.kw_defaults), *getattr(node, "decorator_list", ())]
        elif isinstance(node, ast.ClassDef):
            pending += [*node.bases, *node.decorator_list, *node.body]
        else:
            pending += ast.iter_child_nodes(node)


class Scope:
    """One function: what its names may stand for, whatever the order in which it runs."""

    def __init__(self, source: Source, function: Function, cls: tuple[str, ast.ClassDef] | None, outer: Scope | None) -> None:
        self.source, self.function, self.outer = source, function, outer
        self.changes = source.changes
        if cls is None:
            cls = source.around[function][0]
        self.cls = cls
        self.name = getattr(function, "name", "<lambda>")
        self.where = f"{source.module.__name__}.{f'{cls[0]}.' if cls else ''}{self.name}"
        self.nodes = list(own_nodes(function))
        self.globals = {name for node in self.nodes if isinstance(node, ast.Global) for name in node.names}
        self.nonlocals = {name for node in self.nodes if isinstance(node, ast.Nonlocal) for name in node.names}
        self.names: dict[str, Value] = {}
        # What the object that it makes is given.
        self.given: dict[str, Value] = {}
        # What expressions were found to be, until a name is found to be more.
        self.values: dict[ast.AST, Value] = {}
        self.bind_parameters()
        for node in self.nodes:
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                self.names.setdefault(node.id, FRESH)
        for name in self.globals | self.nonlocals:
            self.names.pop(name, None)
        for _ in range(3):  # names that stand for other names
            before = dict(self.names)
            self.values.clear()
            for node in self.nodes:
                self.bind(node)
            if self.names == before:
                break
        self.values.clear()

    def bind_parameters(self) -> None:
        args = self.function.args
        every = [*args.posonlyargs, *args.args, *args.kwonlyargs]
        for arg in every:
            self.names[arg.arg] = self.parameter(arg)
        for extra in filter(None, (args.vararg, args.kwarg)):
            self.names[extra.arg] = Value(frozenset(), frozenset({ANY}))
        positional = [*args.posonlyargs, *args.args]
        if self.cls is not None and positional:
            decorators = {getattr(item, "id", "") for item in getattr(self.function, "decorator_list", ())}
            first = positional[0].arg
            if "staticmethod" in decorators:
                return
            if "classmethod" in decorators or self.name in ("__new__", "__init_subclass__"):
                self.names[first] = self.class_value()
            elif self.name in MAKING:
                self.names[first] = Value(frozenset({NEW}))
            else:
                self.names[first] = Value(frozenset({("self", self.source.module.__name__, self.cls[0])}))

    def class_value(self) -> Value:
        assert self.cls is not None
        found: Any = self.source.module
        for part in self.cls[0].split("."):
            found = getattr(found, "__dict__", {}).get(part)
        return self.changes.value_of(found) if isinstance(found, type) else ANYTHING

    def parameter(self, arg: ast.arg) -> Value:
        if arg.arg == "app":
            return Value(frozenset({APP, ANY}))
        kind = self.static(arg.annotation) if arg.annotation is not None else None
        if isinstance(kind, type):
            if any(hasattr(base, "add_route") and is_framework(base.__module__) for base in kind.__mro__):
                return Value(frozenset({APP}))
            if issubclass(kind, PLAIN) or any(is_framework(base.__module__) for base in kind.__mro__):
                return FRESH
        return FRESH if arg.arg in PER_REQUEST else ANYTHING

    def static(self, node: ast.AST) -> Any:
        """The object that a dotted name leads to; None where it cannot be told."""
        value = self.value(node)
        if len(value.roots) == 1 and (root := next(iter(value.roots)))[0] == "is":
            return self.changes.kept[root[1]]
        return None

    # What names are bound to.

    def bind(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self.assign(target, node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            self.assign(node.target, node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self.put(node.target.id, Value(frozenset(), self.value(node.value).roots | self.value(node.value).content))
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            self.unpack(node.target, element(self.value(node.iter)))
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self.unpack(node.optional_vars, self.value(node.context_expr))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self.imported(node)
        elif isinstance(node, ast.Match):
            for item in ast.walk(node):
                if isinstance(item, (ast.MatchAs, ast.MatchStar)) and item.name:
                    self.put(item.name, union([self.value(node.subject), element(self.value(node.subject))]))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            # What is put into something that the function made is inside of it.
            if node.func.attr in MUTATORS and (held := self.names.get(node.func.value.id)) is not None:
                given = union(self.value(arg) for arg in node.args)
                self.put(node.func.value.id, Value(held.roots, given.roots | given.content))

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
            if len(target.elts) == len(value.elts) and not any(isinstance(item, ast.Starred) for item in target.elts):
                for inner, item in zip(target.elts, value.elts):
                    self.assign(inner, item)
                return
        if isinstance(target, ast.Name):
            self.put(target.id, self.value(value))
        elif isinstance(target, (ast.Attribute, ast.Subscript)):
            held = self.value(value)
            if isinstance(target, ast.Attribute) and NEW in self.value(target.value).roots:
                self.given[target.attr] = union([self.given.get(target.attr, FRESH), held])
            root: ast.expr = target
            while isinstance(root, (ast.Attribute, ast.Subscript)):
                root = root.value
            if isinstance(root, ast.Name) and root.id in self.names:
                self.put(root.id, Value(frozenset(), held.roots | held.content))
        else:
            self.unpack(target, element(self.value(value)))

    def unpack(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.put(target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for inner in target.elts:
                self.unpack(inner.value if isinstance(inner, ast.Starred) else inner, union([value, element(value)]))

    def put(self, name: str, value: Value) -> None:
        if name in self.names:
            self.names[name] = union([self.names[name], value])

    def imported(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                name = alias.asname or alias.name.partition(".")[0]
                found = sys.modules.get(alias.name if alias.asname else name)
            else:
                name = alias.asname or alias.name
                package = self.source.module.__package__ or ""
                parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                full = ".".join([*parts, *([node.module] if node.module else [])])
                found = sys.modules.get(f"{full}.{alias.name}") or vars(sys.modules.get(full, ast)).get(alias.name)
            value = self.changes.value_of(found) if found is not None else ANYTHING
            self.names[name] = union([self.names.get(name, FRESH), value])

    def lookup(self, name: str) -> Value:
        if name in self.names:
            return self.names[name]
        scope = None if name in self.globals else self.outer
        while scope is not None:
            if name in scope.names:
                # It lives as long as the function that has it.
                return Value(few({("named", name), *scope.names[name].roots, *scope.names[name].content}))
            scope = None if name in scope.globals else scope.outer
        if name in vars(self.source.module):
            return self.changes.value_of(vars(self.source.module)[name])
        if hasattr(builtins, name):
            return self.changes.value_of(getattr(builtins, name))
        return Value(frozenset({("named", name)}))

    # What expressions may be.

    def value(self, node: ast.AST | None) -> Value:
        if node is None:
            return FRESH
        found = self.values.get(node)
        if found is None:
            found = self.values[node] = self.find_value(node)
        return found

    def find_value(self, node: ast.AST) -> Value:
        if isinstance(node, ast.Name):
            return self.lookup(node.id)
        if isinstance(node, ast.Attribute):
            return self.attribute(self.value(node.value), node.attr)
        if isinstance(node, ast.Subscript):
            held = self.value(node.value)
            if isinstance(node.slice, ast.Slice):
                return Value(frozenset(), element(held).roots)
            if isinstance(node.slice, ast.Constant) and node.slice.value == "app":
                return union([element(held), Value(frozenset({APP}))])
            return element(held)
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, (ast.Await, ast.Starred, ast.NamedExpr, ast.YieldFrom)):
            return self.value(node.value)
        if isinstance(node, ast.IfExp):
            return union([self.value(node.body), self.value(node.orelse)])
        if isinstance(node, ast.BoolOp):
            return union(self.value(item) for item in node.values)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return inside(union(self.value(item) for item in node.elts))
        if isinstance(node, ast.Dict):
            values = [self.value(item) if key is not None else element(self.value(item))
                      for key, item in zip(node.keys, node.values)]  # fmt: skip
            return inside(union(values))
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            return inside(self.value(node.elt))
        if isinstance(node, ast.DictComp):
            return inside(self.value(node.value))
        if isinstance(node, ast.BinOp):
            return inside(union([element(self.value(node.left)), element(self.value(node.right))]))
        return FRESH

    def attribute(self, value: Value, name: str) -> Value:
        if name == "app":
            return Value(frozenset({APP}))
        found: set[Root] = set(value.content)
        if NEW in value.roots and name in self.given:
            return union([self.given[name], Value(frozenset(), few(found))])
        for root in value.roots:
            if root == APP or (root[0] == "is" and is_app(self.changes.kept[root[1]])):
                found.add(STATE if name == "state" else ("named", name))
            elif root[0] == "is":
                found |= self.attribute_of(self.changes.kept[root[1]], name)
            elif root[0] == "in":
                found.add(root)
            elif root[0] == "self":
                found |= {("named", name), ("own", *root[1:], name)}
            else:
                found.add(("named", name))
        return Value(few(found))

    def attribute_of(self, thing: Any, name: str) -> frozenset[Root]:
        if isinstance(thing, ModuleType):
            if name in vars(thing):
                return self.changes.value_of(vars(thing)[name]).roots
            return frozenset({("named", name)})
        found = inspect.getattr_static(thing, name, None)
        if found is None:
            return frozenset({("named", name), ("in", id(thing))})
        if isinstance(found, (staticmethod, classmethod)):
            found = found.__func__
        found = interpreted(found)
        if isinstance(found, property) or not isinstance(found, PLAIN) and hasattr(type(found), "__get__"):
            if not isinstance(found, FunctionType):
                return frozenset({("named", name), ("in", id(thing))})
        return self.changes.value_of(found).roots

    def call(self, node: ast.Call) -> Value:
        given = union([*(self.value(arg) for arg in node.args), *(self.value(item.value) for item in node.keywords)])
        inner = frozenset(given.roots | given.content)
        results = []
        if isinstance(node.func, ast.Attribute) and node.func.attr in ACCESSORS:
            results.append(element(self.value(node.func.value)))
        function = self.value(node.func)
        for root in function.roots:
            if root[0] == "is":
                results.append(self.call_of(self.changes.kept[root[1]], given, inner))
            elif root[0] in ("named", "own"):
                results.append(ANYTHING if root[-1] in self.changes.own_names else Value(frozenset(), inner))
            else:
                results.append(ANYTHING)
        return union(results) if results else Value(frozenset(), inner)

    def call_of(self, function: Any, given: Value, inner: frozenset[Root]) -> Value:
        """What calling a known ``function`` with ``given`` gives."""
        cached = isinstance(function, functools._lru_cache_wrapper)
        if cached:
            return Value(frozenset({("in", id(function))}), frozenset({ANY}))
        function = interpreted(getattr(function, "__func__", function))
        if isinstance(function, type):
            if is_own(function.__module__) and "__new__" in vars(function):
                return ANYTHING
            return Value(frozenset(), inner)
        if isinstance(function, FunctionType) and is_own(function.__module__):
            return self.changes.result(function)
        if getattr(function, "__name__", "") in PASSING:
            return union([given, element(given)])
        if isinstance(function, (FunctionType, MethodType)) or callable(function) and hasattr(function, "__name__"):
            return Value(frozenset(), inner)
        return ANYTHING  # an object of some class that can be called

    def returned(self) -> Iterator[Value]:
        if isinstance(self.function, ast.Lambda):
            yield self.value(self.function.body)
        for node in self.nodes:
            if isinstance(node, (ast.Return, ast.Yield)) and node.value is not None:
                yield self.value(node.value)

    def made(self) -> Iterator[Any]:
        """The classes and functions whose results it gives."""
        names = {node.value.id for node in self.nodes if isinstance(node, ast.Return) and isinstance(node.value, ast.Name)}
        for node in self.nodes:
            if isinstance(node, ast.Return):
                value: ast.expr | None = node.value
            elif isinstance(node, ast.Assign) and any(getattr(target, "id", None) in names for target in node.targets):
                value = node.value
            else:
                continue
            if isinstance(value, ast.Call):
                yield self.static(value.func)

    # What it changes.

    def note(self) -> None:
        for node in self.nodes:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self.store(target)
                    self.keep(target, node.value)
            elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.For, ast.AsyncFor, ast.NamedExpr)):
                self.store(node.target)
                if isinstance(node, ast.AugAssign):
                    self.change(self.value(node.target), "method", "__iadd__")
                elif isinstance(node, ast.AnnAssign) and node.value is not None:
                    self.keep(node.target, node.value)
            elif isinstance(node, ast.Delete):
                for target in node.targets:
                    self.store(target)
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                self.store(node.optional_vars)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    self.store(ast.Name(alias.asname or alias.name.partition(".")[0], ast.Store()))
            elif isinstance(node, FUNCTIONS[:2]) or isinstance(node, ast.ClassDef):
                self.store(ast.Name(node.name, ast.Store()))
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                if node.attr in MUTATORS:
                    self.change(self.value(node.value), "method", node.attr)
                elif node.attr == "__dict__":
                    self.change(self.value(node.value), "attribute", "*")
            elif isinstance(node, ast.Call):
                self.note_call(node)

    def note_call(self, node: ast.Call) -> None:
        for part in (node.func, *node.args):
            method = self.static(part) if isinstance(part, (ast.Name, ast.Attribute)) else None
            if isinstance(method, BuiltinMethodType) and method.__name__ in MUTATORS:  # taken off its object earlier
                self.change(self.changes.value_of(method.__self__), "method", method.__name__)
        name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
        if name in ("eval", "exec"):
            self.changes.unreadable.append(f"{self.where} calls {name}")
        elif name in ("globals", "vars", "locals") and not node.args and name != "locals":
            self.changes.slots.setdefault((self.source.module.__name__, "*"), self.where)
        elif name in ("setattr", "delattr", "__setattr__", "__delattr__") and node.args:
            field = node.args[1] if len(node.args) > 1 else None
            known = field.value if isinstance(field, ast.Constant) and isinstance(field.value, str) else "*"
            self.change(self.value(node.args[0]), "attribute", known)
        elif name in CHANGING and node.args:
            for arg in node.args:
                self.change(self.value(arg), "method", "__iadd__")
        else:
            self.note_arguments(node)

    def note_arguments(self, node: ast.Call) -> None:
        """A library may change what it is given by name; Python's own and the frameworks' are known not to."""
        callee = self.static(node.func)
        module = getattr(callee, "__module__", None)
        if callee is None or not isinstance(module, str):
            return
        top = module.partition(".")[0]
        if is_own(module) or is_framework(module) or top in sys.stdlib_module_names:
            return
        for arg in (*node.args, *(item.value for item in node.keywords)):
            exact = Value(frozenset(root for root in self.value(arg).roots if root[0] == "is"))
            self.change(exact, "method", "__iadd__")

    def store(self, target: ast.AST) -> None:
        if isinstance(target, ast.Name):
            if target.id in self.globals:
                self.changes.slots.setdefault((self.source.module.__name__, target.id), self.where)
            elif target.id in self.nonlocals:
                self.changes.cells.setdefault((self.source.file, target.id), self.where)
        elif isinstance(target, ast.Attribute):
            self.change(self.value(target.value), "attribute", target.attr)
        elif isinstance(target, ast.Subscript):
            self.change(self.value(target.value), "item", "")
        elif isinstance(target, (ast.Tuple, ast.List)):
            for inner in target.elts:
                self.store(inner)
        elif isinstance(target, ast.Starred):
            self.store(target.value)

    def change(self, value: Value, kind: str, name: str) -> None:
        self.changes.add(value, kind, name, self.where)

    def keep(self, target: ast.AST, value: ast.AST) -> None:
        """What a new object's attributes are made by."""
        if self.name not in MAKING or self.cls is None or not isinstance(target, ast.Attribute):
            return
        if isinstance(value, ast.Call):
            self.changes.made.setdefault((self.source.module.__name__, self.cls[0]), []).append(self.static(value.func))
