"""What of a function may be C without a change of its answers.

Cython itself takes a local name for a C double where all that it is ever bound to is a float. Added here are the counters of
loops, and operators that would mean something else in C are kept Python's.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from freelane.build import counters
from freelane.build.meaning import LOCATED, own_nodes
from freelane.build.split import split
from freelane.build.stack import ROOM, STACK

# Operators whose C form differs for doubles: signs of zero, errors, complex results.
INEXACT = (ast.Mod, ast.FloorDiv, ast.Pow)

BOUND = "__freelane_bound"
TEXT = f"""
import cython as CYTHON
from cython.cimports.{STACK} import {ROOM}
@CYTHON.cfunc
@CYTHON.exceptval(-1, check=True)
@CYTHON.returns(CYTHON.Py_ssize_t)
def {BOUND}(value):
    try:
        return value
    except OverflowError:
        return {(1 << 63) - 1} if value > 0 else {-(1 << 63) + 1}
"""


def head(cython: str) -> list[ast.stmt]:
    """What Cython's text begins with. ``bound`` is an index as range() takes it; what no loop ever reaches is cut off."""
    return ast.parse(TEXT.replace("CYTHON", cython)).body


def as_object(node: ast.expr, cython: str) -> ast.expr:
    """``node`` as Python's object, whatever Cython took it for."""
    call = ast.Call(ast.Attribute(ast.Name(cython, ast.Load()), "cast", ast.Load()), [ast.Name("object", ast.Load()), node], [])
    for part in (call, call.func, call.func.value, call.args[0]):  # type: ignore[attr-defined]
        ast.copy_location(part, node)
    return call


def declare(node: ast.FunctionDef | ast.AsyncFunctionDef, types: Mapping[str, str], cython: str) -> None:
    """Give local names of a function a type, by ``cython.locals``."""
    keywords = [
        ast.keyword(name, ast.parse(f"{cython}.{kind}" if kind != "object" else kind, mode="eval").body)
        for name, kind in types.items()
    ]
    for item in node.decorator_list:
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) and item.func.attr == "locals":
            have = {keyword.arg for keyword in item.keywords}
            item.keywords += [keyword for keyword in keywords if keyword.arg not in have]
            break
    else:
        call = ast.Call(ast.Attribute(ast.Name(cython, ast.Load()), "locals", ast.Load()), [], keywords)
        node.decorator_list.insert(0, call)
    for part in ast.walk(node.decorator_list[0]):
        if isinstance(part, LOCATED):
            ast.copy_location(part, node)


def is_int64(node: ast.expr) -> bool:
    return (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")) == "int64"


def type_function(function: Any, shadowed: frozenset[str], cython: str) -> str:
    """Type what is safe; changes ``function``. Returns what was typed, in words."""
    notes = []
    wanted = int64_names(function)
    if wanted:
        declare(function, dict.fromkeys(sorted(wanted), "longlong"), cython)
        Int64(wanted, cython).visit(function)
        check = ast.parse(f"{cython}.overflowcheck(True)", mode="eval").body
        for part in ast.walk(check):
            if isinstance(part, LOCATED):
                ast.copy_location(part, function)
        function.decorator_list.insert(0, check)
        notes.append(f"int64 {', '.join(sorted(wanted))}")
    known = split(function, shadowed)
    if known:
        declare(function, dict.fromkeys(sorted(known), "Py_ssize_t"), cython)
    found = counters.find(function, shadowed, known)
    if found.names:
        declare(function, dict.fromkeys(sorted(found.names), "Py_ssize_t"), cython)
        names = sorted(name for name in found.names if not name.startswith("__"))
        notes += [f"counters {', '.join(names)}"] if names else []
        notes += ["integers of loops below 2**30"] if known else []
        for loop, positions in found.bounds:
            assert isinstance(loop.iter, ast.Call)
            for position in positions:
                argument = loop.iter.args[position]
                call = ast.Call(ast.Name(BOUND, ast.Load()), [argument], [])
                for part in (call, call.func):
                    ast.copy_location(part, argument)
                loop.iter.args[position] = call
    Keep(found, cython).visit(function)
    floats = sorted(float_names(function))
    if floats:
        notes.append(f"floats {', '.join(floats)}")
    return ", ".join(notes)


def int64_names(function: Any) -> set[str]:
    """Parameters and names that are declared to be ``freelane.native.int64``; their annotations are taken off."""
    found = set(getattr(function, "int64", ()))
    for node in own_nodes(function):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and is_int64(node.annotation):
            found.add(node.target.id)
    return found


class Int64(ast.NodeTransformer):
    """Arithmetic on declared integers: C's and checked where that is Python's, else Python's."""

    PYTHONS = (ast.Div, ast.Pow, ast.LShift, ast.RShift)

    def __init__(self, names: set[str], cython: str) -> None:
        self.names = names
        self.cython = cython

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return self.visit(ast.copy_location(ast.Assign([node.target], node.value), node))

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        if isinstance(node.target, ast.Name) and node.target.id in self.names:
            value = ast.copy_location(
                ast.BinOp(ast.copy_location(ast.Name(node.target.id, ast.Load()), node), node.op, node.value), node
            )
            return self.visit(ast.copy_location(ast.Assign([node.target], value), node))
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, self.PYTHONS):
            node.left, node.right = as_object(node.left, self.cython), as_object(node.right, self.cython)
        return node


class Keep(ast.NodeTransformer):
    """Leaves Python's meaning where C has another: inexact operators, and counters in arithmetic that might not fit."""

    def __init__(self, found: counters.Counters, cython: str) -> None:
        self.found = found
        self.cython = cython

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        exact = node in self.found.exact
        self.generic_visit(node)
        if isinstance(node.op, INEXACT) and not exact and not is_text(node.left):
            node.left = as_object(node.left, self.cython)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return as_object(node, self.cython) if node in self.found.boxed else node


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))


def float_names(function: Any) -> set[str]:
    """Names that Cython is going to take for C doubles, as far as can be told: for the table."""
    given = function.args
    parameters = {arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)}
    bound: dict[str, list[ast.expr | None]] = {}
    for node in own_nodes(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for item in ast.walk(target):
                    if isinstance(item, ast.Name):
                        bound.setdefault(item.id, []).append(node.value if item is target else None)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            bound.setdefault(node.target.id, []).append(ast.BinOp(node.target, node.op, node.value))
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.setdefault(node.id, [])
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            for item in ast.walk(node.target):
                if isinstance(item, ast.Name):
                    bound.setdefault(item.id, []).append(None)
    floats = {name for name, values in bound.items() if values and name not in parameters}
    changed = True
    while changed:
        wrong = {name for name in floats if not all(value is not None and is_float(value, floats) for value in bound[name])}
        changed = bool(wrong)
        floats -= wrong
    return floats


def is_float(node: ast.expr, floats: set[str]) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is float
    if isinstance(node, ast.Name):
        return node.id in floats
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, (ast.USub, ast.UAdd)) and is_float(node.operand, floats)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
        sides = [is_float(side, floats) for side in (node.left, node.right)]
        return all(sides) or any(sides) and all(
            done or isinstance(side, ast.Constant) and type(side.value) is int or isinstance(side, (ast.Name, ast.BinOp))
            for done, side in zip(sides, (node.left, node.right))
        )  # fmt: skip
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
