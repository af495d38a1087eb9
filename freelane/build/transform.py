"""One module as two texts: the statements, which Python goes on running, and the functions, which Cython compiles.

Each function that is compiled stands in a factory of its own in Cython's text. In Python's it has one decorator more, the
innermost, which calls the factory with the defaults and cells that Python has made, and gives what comes of it.
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from freelane.build import native
from freelane.build.meaning import FUNCTIONS, bound_names, own_nodes, uses_class
from freelane.build.positions import Positions
from freelane.build.stack import ROOM
from freelane.build.units import Plan, Unit, module_names

FACTORY = "__freelane_unit_"
INNER = "__freelane_inner"
DECORATOR = "__freelane_compiled__"
CYTHON = "__freelane_cython__"
CLASS = "__freelane_class__"
FREE = "__freelane_free_"
DEFAULTS, KWDEFAULTS, CELLS = "__freelane_defaults", "__freelane_kwdefaults", "__freelane_cells"

# What every module has by itself.
OF_MODULES = {
    "__builtins__",
    "__name__",
    "__file__",
    "__doc__",
    "__path__",
    "__spec__",
    "__loader__",
    "__package__",
    "__cached__",
}


@dataclass(frozen=True, slots=True)
class Lowered:
    """``typed`` says for a unit what of it is C."""

    text: str
    positions: Positions
    typed: dict[int, str]


def decorated(tree: ast.Module, plan: Plan) -> ast.Module:
    """The module's tree with the decorators; changes ``tree``."""
    for unit in plan.units:
        call = ast.Call(ast.Name(DECORATOR, ast.Load()), [ast.Constant(unit.number)], [])
        for node in ast.walk(call):
            ast.copy_location(node, unit.function)
            if isinstance(node, ast.expr):
                node.end_lineno, node.end_col_offset = node.lineno, node.col_offset
        unit.function.decorator_list.append(call)
    return tree


def lower(tree: ast.Module, plan: Plan, known_builtins: Iterable[str]) -> Lowered:
    """Cython's text for the units of ``plan``; leaves ``tree`` as it is."""
    typed: dict[int, str] = {}
    factories: list[ast.stmt] = []
    for unit in plan.units:
        function, note = lowered(unit, module_names(tree))
        factories.append(factory(unit, function))
        if note:
            typed[unit.number] = note
    body: list[ast.stmt] = [*native.head(CYTHON), declared(tree, factories, set(known_builtins)), *factories]
    made = ast.fix_missing_locations(ast.Module(body, []))
    text = ast.unparse(made)
    return Lowered(text, Positions(made, text), typed)


def declared(tree: ast.Module, factories: list[ast.stmt], known: set[str]) -> ast.stmt:
    """A function that is never called, by which Cython learns the names that are the module's and not Python's."""
    names = set(module_names(tree))
    used = {node.id for factory in factories for node in ast.walk(factory) if isinstance(node, ast.Name)}
    local = {name for factory in factories for node in ast.walk(factory) if isinstance(node, (*FUNCTIONS, ast.Lambda))
             for name in bound_names(node)}  # fmt: skip
    names |= used - known - local
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            names |= used  # what it brings may stand in a builtin's place
    names = {name for name in names if name not in OF_MODULES and not name.startswith("__freelane_")}
    lines = ast.parse("def __freelane_names__():\n    pass").body[0]
    assert isinstance(lines, ast.FunctionDef)
    if names:
        ordered = sorted(names)
        lines.body = [ast.Global(ordered), ast.Assign([ast.Name(name, ast.Store()) for name in ordered], ast.Constant(None))]
    return lines


def factory(unit: Unit, function: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
    names = [f'{CLASS} = {CELLS}["__class__"]'] if uses_class(unit.function) else []
    names += [f'{FREE}{name} = {CELLS}["{name}"]' for name in unit.free]
    lines = [
        f"def {FACTORY}{unit.number}({DEFAULTS}, {KWDEFAULTS}, {CELLS}):",
        *(f"    {name}" for name in names),
        "    return 0",
    ]
    made = ast.parse("\n".join(lines)).body[0]
    assert isinstance(made, ast.FunctionDef)
    for node in ast.walk(made):
        if hasattr(node, "lineno"):
            ast.copy_location(node, function)
    # Under its own name it would hide the module's.
    function.name = INNER
    made.body[-1] = ast.copy_location(ast.Return(ast.copy_location(ast.Name(INNER, ast.Load()), function)), function)
    made.body.insert(-1, function)
    return made


def lowered(unit: Unit, shadowed: frozenset[str]) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]:
    """A copy of a unit's function as Cython gets it, and what of it is C."""
    function = copy.deepcopy(unit.function)
    name = unit.classes[-1].lstrip("_") if unit.classes else ""
    function = Lower(unit, name).run(function)
    note = native.type_function(function, shadowed, CYTHON)
    return function, note


class Lower(ast.NodeTransformer):
    """Takes off what Python has made already, and writes out what Cython does another way."""

    def __init__(self, unit: Unit, owner: str) -> None:
        self.unit = unit
        self.owner = owner
        self.free = set(unit.free)
        self.first = ""

    def run(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.FunctionDef | ast.AsyncFunctionDef:
        positional = [*function.args.posonlyargs, *function.args.args]
        self.first = positional[0].arg if positional else ""
        function.decorator_list = []
        function.args.defaults = [
            self.item(DEFAULTS, ast.Constant(index), node) for index, node in enumerate(function.args.defaults)
        ]  # fmt: skip
        function.args.kw_defaults = [
            None if node is None else self.item(KWDEFAULTS, ast.Constant(self.mangled(arg.arg)), node)
            for arg, node in zip(function.args.kwonlyargs, function.args.kw_defaults)
        ]
        if has_docstring(function):  # Python has cleaned it
            function.body[:1] = [] if len(function.body) > 1 else [ast.copy_location(ast.Pass(), function.body[0])]
        name = function.name
        self.visit(function)
        function.name = name
        # Python counts a function's lines from its first decorator.
        function.lineno = min([function.lineno, *(item.lineno for item in self.unit.function.decorator_list)])
        return function

    def item(self, table: str, key: ast.expr, node: ast.expr) -> ast.expr:
        made = ast.Subscript(ast.Name(table, ast.Load()), key, ast.Load())
        for part in ast.walk(made):
            ast.copy_location(part, node)
        return made

    def mangled(self, name: str) -> str:
        """A private name, as in a class's body."""
        if name.startswith("__freelane_"):
            return name
        if self.owner and name.startswith("__") and not name.endswith("__") and "." not in name:
            return f"_{self.owner}{name}"
        return name

    def function(self, node: Any) -> Any:
        node.returns = None
        if node is not self.unit.function and has_docstring(node):
            node.body[0].value.value = inspect.cleandoc(node.body[0].value.value) if len(node.body) else ""
        declared = {self.mangled(item.target.id) for item in own_nodes(node) if isinstance(item, ast.AnnAssign)
                    and isinstance(item.target, ast.Name) and native.is_int64(item.annotation)}  # fmt: skip
        for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg):
            if arg is not None:
                if (
                    arg.annotation is not None
                    and native.is_int64(arg.annotation)
                    and arg not in (node.args.vararg, node.args.kwarg)
                ):
                    declared.add(self.mangled(arg.arg))
                arg.annotation = None
        inexact = {
            item.target.id for item in own_nodes(node)
            if isinstance(item, ast.AugAssign) and isinstance(item.op, native.INEXACT) and isinstance(item.target, ast.Name)
        }  # fmt: skip
        outside = {name for item in own_nodes(node) if isinstance(item, (ast.Global, ast.Nonlocal)) for name in item.names}
        self.generic_visit(node)
        node.name = self.mangled(node.name)
        look = ast.Expr(ast.Call(ast.Name(ROOM, ast.Load()), [], []))
        for part in ast.walk(look):
            ast.copy_location(part, node)
        node.body.insert(1 if has_docstring(node) else 0, look)
        node.int64 = declared
        if inexact := {self.mangled(name) for name in inexact - outside} - declared:
            native.declare(node, dict.fromkeys(sorted(inexact), "object"), CYTHON)
        return node

    visit_FunctionDef = function
    visit_AsyncFunctionDef = function

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.mangled(node.arg)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        self.generic_visit(node)
        node.arg = self.mangled(node.arg) if node.arg else None
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = self.mangled(node.attr)
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self.mangled(name) for name in node.names]
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        node.names = [self.mangled(name) for name in node.names]
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        node.name = self.mangled(node.name) if node.name else None
        return node

    def visit_alias(self, node: ast.alias) -> ast.AST:
        bound = node.asname or node.name
        if self.mangled(bound) != bound:
            node.asname = self.mangled(bound)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == "__class__":
            return self.contents(CLASS, node)
        if node.id in self.free:
            return self.contents(FREE + node.id, node)
        node.id = self.mangled(node.id)
        return node

    def contents(self, cell: str, node: ast.AST) -> ast.AST:
        made = ast.Attribute(ast.Name(cell, ast.Load()), "cell_contents", ast.Load())
        for part in ast.walk(made):
            ast.copy_location(part, node)
        return made

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args and not node.keywords:
            node.args = [
                self.contents(CLASS, node),  # type: ignore[list-item]
                ast.copy_location(ast.Name(self.mangled(self.first), ast.Load()), node),
            ]
            return node
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        """In a function an annotation is not evaluated."""
        if native.is_int64(node.annotation) and isinstance(node.target, ast.Name):
            self.generic_visit(node)
            return node
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        made = ast.copy_location(ast.Assign([node.target], node.value), node)
        return self.visit(made)


def has_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
