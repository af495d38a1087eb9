"""Which functions of a module are compiled, and why the others stay as they are."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from freelane.build.meaning import FUNCTIONS, Function, bound_names, own_nodes, reason_to_keep
from freelane.build.worth import reason_to_leave

# Bases whose metaclass does not look at functions, beside a project's own and Python's exceptions.
PLAIN_BASES = {
    "object", "ABC", "abc.ABC", "Generic", "typing.Generic", "Thread", "threading.Thread", "HTTPException", "HTTPEndpoint",
    "WebSocketEndpoint", "BaseHTTPMiddleware", "Response", "JSONResponse", "StreamingResponse", "PlainTextResponse",
    "HTMLResponse", "dict", "list", "set", "str", "int", "float", "tuple", "bytes", "UserDict", "UserList",
}  # fmt: skip
# Made into class or static methods where they are Python functions only.
IMPLICIT = {"__new__", "__init_subclass__", "__class_getitem__"}
# Decorators that read the code they are given, by the last part of their name.
READERS = {
    "jit", "njit", "vectorize", "guvectorize", "stencil", "cfunc", "compile", "profile", "given", "beartype", "typechecked",
    "overload", "coroutine", "singledispatch", "db_session", "fixture", "contract", "icontract", "ensure", "invariant",
    "cython", "inline", "ccall", "cclass",
}  # fmt: skip
# Decorators of classes that make the class anew, with `__class__` mended in Python functions only.
PRAGMA_NONE = "nothing in it to compile"


@dataclass(frozen=True, slots=True)
class Unit:
    """A function that is compiled. ``classes`` are those around it; ``free`` names come from functions around it."""

    number: int
    function: ast.FunctionDef | ast.AsyncFunctionDef
    classes: tuple[str, ...]
    qualname: str
    free: tuple[str, ...] = ()


@dataclass(slots=True)
class Plan:
    """``kept`` are functions that stay Python's: name, line, reason."""

    units: list[Unit] = field(default_factory=list)
    kept: list[tuple[str, int, str]] = field(default_factory=list)

    def without(self, numbers: Iterable[int], reason: str) -> Plan:
        """The plan with some units kept as they are."""
        left = set(numbers)
        kept = [(unit.qualname, unit.function.lineno, reason) for unit in self.units if unit.number in left]
        return Plan([unit for unit in self.units if unit.number not in left], [*self.kept, *kept])


def plan(tree: ast.Module, plain: frozenset[str] = frozenset(), everything: bool = False) -> Plan:
    """What to compile of a module. ``plain`` are names of classes of other modules that are known to be plain.

    ``everything``: also what gains nothing by it.
    """
    return Planner(tree, plain, everything).plan


class Planner:
    def __init__(self, tree: ast.Module, plain: frozenset[str], everything: bool = False) -> None:
        self.plan = Plan()
        self.everything = everything
        self.plain = set(plain)
        self.shadowed = module_names(tree)
        self.body(tree.body, (), (), None)

    def body(self, statements: Iterable[ast.stmt], classes: tuple[str, ...], path: tuple[str, ...], unfit: str | None) -> None:
        """``unfit`` says why the functions of a class stay."""
        for node in statements:
            if isinstance(node, FUNCTIONS):
                self.function(node, classes, path, unfit)
            elif isinstance(node, ast.ClassDef):
                self.cls(node, classes, path)
            else:
                for inner in blocks(node):
                    self.body(inner, classes, path, unfit)

    def cls(self, node: ast.ClassDef, classes: tuple[str, ...], path: tuple[str, ...]) -> None:
        unfit = self.unfit(node)
        if unfit is None:
            self.plain.add(node.name)
        self.body(node.body, (*classes, node.name), (*path, node.name), unfit)

    def unfit(self, node: ast.ClassDef) -> str | None:
        for keyword in node.keywords:
            return f"class {node.name} has {keyword.arg or 'keywords'}=, which may read what its body holds"
        for base in node.bases:
            name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
            if name in self.plain or name in PLAIN_BASES or name.rpartition(".")[2] in PLAIN_BASES or is_exception(name):
                continue
            return f"class {node.name}: its base {name} may read what its body holds"
        return None

    def function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, classes: tuple[str, ...], path: tuple[str, ...], unfit: str | None
    ) -> None:
        qualname = ".".join([*path, node.name])
        reason = unfit or self.reason(node, classes)
        if reason is None:
            self.plan.units.append(Unit(len(self.plan.units), node, classes, qualname))
            return
        self.plan.kept.append((qualname, node.lineno, reason))
        self.routes_inside(node, path)

    def reason(self, node: Function, classes: tuple[str, ...]) -> str | None:
        if classes and node.name in IMPLICIT:  # type: ignore[union-attr]
            return f"Python makes {node.name} what it is for interpreted functions only"  # type: ignore[union-attr]
        for decorator in getattr(node, "decorator_list", ()):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = ast.unparse(called)
            if set(name.split(".")) & READERS and name.rpartition(".")[2] in READERS:
                return f"@{name} may read its code"
        reason = reason_to_keep(node, bool(classes), self.shadowed)
        return reason if reason is not None or self.everything else reason_to_leave(node, bool(classes))

    def routes_inside(self, outer: ast.FunctionDef | ast.AsyncFunctionDef, path: tuple[str, ...]) -> None:
        """Endpoints that are defined in a function that makes the app."""
        inside = (*path, outer.name, "<locals>")
        around = bound_names(outer)
        for node in own_nodes(outer):
            if not isinstance(node, FUNCTIONS) or isinstance(node, ast.Lambda) or not is_route(node):
                continue
            used = {item.id for statement in node.body for item in ast.walk(statement) if isinstance(item, ast.Name)}
            own = {name for item in ast.walk(node) if isinstance(item, (*FUNCTIONS, ast.Lambda)) for name in bound_names(item)}
            free = used & around
            qualname = ".".join([*inside, node.name])
            if path and path[-1] == "<locals>" or free & own or {"__class__", "super"} & used:
                self.plan.kept.append((qualname, node.lineno, "shares names with the function around it"))
                continue
            if any(isinstance(item, ast.Nonlocal) for item in ast.walk(node)):
                self.plan.kept.append((qualname, node.lineno, "writes names of the function around it"))
                continue
            reason = self.reason(node, ())
            if reason is None:
                self.plan.units.append(Unit(len(self.plan.units), node, (), qualname, tuple(sorted(free))))
            else:
                self.plan.kept.append((qualname, node.lineno, reason))


def is_route(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a decorator is a method that is called, as ``@app.get("/")`` is."""
    return any(isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) for item in node.decorator_list)


def is_exception(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The statements inside of a statement."""
    for name in ("body", "orelse", "finalbody"):
        yield getattr(node, name, [])
    for handler in getattr(node, "handlers", ()):
        yield handler.body
    for case in getattr(node, "cases", ()):
        yield case.body


def module_names(tree: ast.Module) -> frozenset[str]:
    """Every name that the module or a function of its binds in the module, imports and ``global`` included."""
    found: set[str] = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            found.add(getattr(node, "name", ""))
            found |= {name for item in ast.walk(node) if isinstance(item, ast.Global) for name in item.names}
            if isinstance(node, ast.Lambda):
                continue
            pending += [*node.decorator_list, *(node.args.defaults if isinstance(node, FUNCTIONS) else ())]
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            found.add(node.rest)
        pending += ast.iter_child_nodes(node)
    return frozenset(found - {""})
