"""Counters of ``for i in range(...)`` that can be C integers: nothing that they reach can tell.

A counter starts at a small number and is counted up or down one by one, so that it stays below 2**53, which takes a machine
months of counting. Arithmetic on it is C's where the result of every step is proven to fit, or where a float is the other
side; everywhere else it becomes Python's integer first.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from freelane.build.meaning import NESTED, own_nodes

# No loop counts as far; exact as a double, too.
FAR = 1 << 53
FITS = 1 << 63
SCOPES = (*NESTED, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

Interval = tuple[int, int]


@dataclass(slots=True)
class Counters:
    """``names`` are C integers. ``bounds`` are loops, each with the arguments of its range() that are cut off.

    ``boxed`` are uses that must be Python's, ``exact`` operations that are C's and mean the same.
    """

    names: set[str] = field(default_factory=set)
    bounds: list[tuple[ast.For, list[int]]] = field(default_factory=list)
    boxed: set[ast.AST] = field(default_factory=set)
    exact: set[ast.AST] = field(default_factory=set)


def find(function: Any, shadowed: frozenset[str], known: Mapping[str, Interval] = MappingProxyType({})) -> Counters:
    """The counters of one function. ``known`` are names that are C integers already."""
    found = Counters()
    if "range" in shadowed:
        return found
    nodes = list(own_nodes(function))
    loops: dict[str, list[ast.For]] = {}
    for node in nodes:
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name) and is_range(node.iter):
            loops.setdefault(node.target.id, []).append(node)
    unfit = captured(function) | other_bindings(function, nodes, loops)
    if "range" in unfit:
        return found
    ranges: dict[str, Interval] = dict(known)
    # The outer loops come first, so that inner ones may start at their counters.
    for name, each in loops.items():
        if name in unfit or not uses_are_inside(nodes, name, each):
            continue
        intervals = [interval_of_loop(loop, ranges) for loop in each]
        if all(item is not None for item in intervals):
            ranges[name] = (min(item[0] for item in intervals if item), max(item[1] for item in intervals if item))
    floats = likely_floats(nodes)
    while True:
        uses = Uses(ranges, floats)
        for statement in function.body:
            uses.visit(statement)
        # One that is Python's everywhere it is used gains nothing.
        useless = {
            name
            for name in ranges
            if name not in known and uses.objects.get(name, 0) and uses.native.get(name, 0) <= uses.objects.get(name, 0)
        }
        started = {
            item.id
            for name in ranges
            if name not in known
            for loop in loops[name]
            for item in ast.walk(loop.iter)
            if isinstance(item, ast.Name)
        }
        useless -= started & useless if started & useless == useless else set()
        if not useless:
            break
        for name in useless:
            del ranges[name]
        left = dict(known)
        for name in ranges:
            if name not in known:
                intervals = [interval_of_loop(loop, ranges) for loop in loops[name]]
                if all(item is not None for item in intervals):
                    left[name] = (min(item[0] for item in intervals if item), max(item[1] for item in intervals if item))
        ranges = left
    found.names = set(ranges) - set(known)
    found.boxed, found.exact = uses.boxed, uses.exact
    for name in found.names:
        for loop in loops[name]:
            assert isinstance(loop.iter, ast.Call)
            last = 0 if len(loop.iter.args) == 1 else 1
            found.bounds.append((loop, [last] if interval(loop.iter.args[last], ranges) is None else []))
    return found


def is_range(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and not node.keywords
        and 1 <= len(node.args) <= 3 and not any(isinstance(item, ast.Starred) for item in node.args)
    )  # fmt: skip


def captured(function: Any) -> set[str]:
    """Names that a scope inside uses."""
    found: set[str] = set()
    for node in own_nodes(function):
        if isinstance(node, SCOPES):
            found |= {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
    return found


def other_bindings(function: Any, nodes: list[ast.AST], loops: dict[str, list[ast.For]]) -> set[str]:
    """Names that are bound by anything but a loop over range()."""
    targets = {id(loop.target) for each in loops.values() for loop in each}
    args = function.args
    found = {arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg) if arg is not None}
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and id(node) not in targets:
            found.add(node.id)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            found |= set(node.names)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
    return found


def uses_are_inside(nodes: list[ast.AST], name: str, loops: list[ast.For]) -> bool:
    """Whether a counter is read in the bodies of its loops only, where it is surely bound."""
    inside = {id(item) for loop in loops for statement in loop.body for item in ast.walk(statement)}
    return all(
        id(node) in inside for node in nodes
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
    )  # fmt: skip


def interval_of_loop(loop: ast.For, ranges: dict[str, Interval]) -> Interval | None:
    """What the counter may be; None where its start is not known."""
    assert isinstance(loop.iter, ast.Call)
    args = loop.iter.args
    start: Interval | None = (0, 0) if len(args) == 1 else interval(args[0], ranges)
    stop = interval(args[0 if len(args) == 1 else 1], ranges)
    step = interval(args[2], ranges) if len(args) == 3 else (1, 1)
    if start is None or step is None or step[0] != step[1] or not 0 < abs(step[0]) < 1 << 16 or max(map(abs, start)) > 1 << 53:
        return None
    if isinstance(loop.target, ast.Name) and any(
        isinstance(item, ast.Name) and item.id == loop.target.id for arg in args for item in ast.walk(arg)
    ):
        return None
    if step[0] > 0:
        return start[0], max(start[1], stop[1] if stop is not None else FAR)
    return min(start[0], stop[0] if stop is not None else -FAR), start[1]


def interval(node: ast.expr, ranges: dict[str, Interval]) -> Interval | None:
    """The bounds of an expression of counters and small literals, if each of its steps fits in 64 bits."""
    found: Interval | None = None
    if isinstance(node, ast.Constant) and type(node.value) is int:
        found = (node.value, node.value)
    elif isinstance(node, ast.Name):
        found = ranges.get(node.id)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = interval(node.operand, ranges)
        found = None if inner is None else (-inner[1], -inner[0])
    elif isinstance(node, ast.BinOp):
        left, right = interval(node.left, ranges), interval(node.right, ranges)
        if left is not None and right is not None:
            found = combined(node.op, left, right)
    return found if found is not None and max(map(abs, found)) < FITS else None


def combined(op: ast.operator, left: Interval, right: Interval) -> Interval | None:
    if isinstance(op, ast.Add):
        return left[0] + right[0], left[1] + right[1]
    if isinstance(op, ast.Sub):
        return left[0] - right[1], left[1] - right[0]
    if isinstance(op, ast.Mult):
        ends = [a * b for a in left for b in right]
        return min(ends), max(ends)
    if isinstance(op, ast.Mod) and right[0] > 0:
        return 0, right[1] - 1
    if isinstance(op, ast.FloorDiv) and right[0] > 0:
        ends = [a // b for a in left for b in right]
        return min(ends), max(ends)
    if isinstance(op, ast.BitAnd) and right[0] >= 0:
        return 0, right[1]
    return None


def likely_floats(nodes: list[ast.AST]) -> set[str]:
    """Names of which something is a float: what Cython makes of them is its own to prove."""
    found: set[str] = set()
    for _ in range(3):
        for node in nodes:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                if has_float(node.value, found):
                    found.add(node.targets[0].id)
    return found


def has_float(node: ast.expr, floats: set[str]) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is float
    if isinstance(node, ast.Name):
        return node.id in floats
    if isinstance(node, ast.UnaryOp):
        return has_float(node.operand, floats)
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Div):
            return True
        return has_float(node.left, floats) or has_float(node.right, floats)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"


class Uses(ast.NodeVisitor):
    """Where counters are C's (``native``, ``exact``) and where Python's (``objects``, ``boxed``)."""

    def __init__(self, ranges: dict[str, Interval], floats: set[str]) -> None:
        self.ranges = ranges
        self.floats = floats
        self.native: dict[str, int] = {}
        self.objects: dict[str, int] = {}
        self.boxed: set[ast.AST] = set()
        self.exact: set[ast.AST] = set()

    def count(self, node: ast.AST, native: bool) -> None:
        for item in ast.walk(node):
            if isinstance(item, ast.Name) and item.id in self.ranges and isinstance(item.ctx, ast.Load):
                table = self.native if native else self.objects
                table[item.id] = table.get(item.id, 0) + 1

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if interval(node, self.ranges) is not None:
            self.exact |= {item for item in ast.walk(node) if isinstance(item, ast.BinOp)}
            self.count(node, True)
            return
        arithmetic = isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div))
        for side, other in ((node.left, node.right), (node.right, node.left)):
            known = interval(side, self.ranges)
            if known is None or not any(isinstance(item, ast.Name) for item in ast.walk(side)):
                self.visit(side)
            elif arithmetic and has_float(other, self.floats) and max(map(abs, known)) <= FAR:
                self.exact |= {item for item in ast.walk(side) if isinstance(item, ast.BinOp)}
                self.count(side, True)
            else:
                self.box(side)

    def box(self, node: ast.expr) -> None:
        """The names in it become Python's, and so all that is made of them."""
        self.boxed |= {item for item in ast.walk(node) if isinstance(item, ast.Name) and item.id in self.ranges}
        self.exact -= set(ast.walk(node))
        self.count(node, False)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        if interval(node.slice, self.ranges) is not None:
            self.exact |= {item for item in ast.walk(node.slice) if isinstance(item, ast.BinOp)}
            self.count(node.slice, True)
        else:
            self.visit(node.slice)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        identity = any(isinstance(op, (ast.Is, ast.IsNot, ast.In, ast.NotIn)) for op in node.ops)
        for side in sides:
            if identity and interval(side, self.ranges) is not None:
                self.box(side)
            elif isinstance(side, ast.Name) and side.id in self.ranges:
                native = all(interval(other, self.ranges) is not None or has_float(other, self.floats) for other in sides)
                self.count(side, native)
                if not native:
                    self.boxed.add(side)
            else:
                self.visit(side)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.target)
        if isinstance(node.value, ast.Name) and node.value.id in self.ranges:
            floating = isinstance(node.target, ast.Name) and node.target.id in self.floats
            if floating and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
                self.count(node.value, True)
            else:
                self.box(node.value)
        else:
            self.visit(node.value)

    def visit_For(self, node: ast.For) -> None:
        if is_range(node.iter):
            assert isinstance(node.iter, ast.Call)
            for argument in node.iter.args:
                if interval(argument, self.ranges) is not None:
                    self.exact |= {item for item in ast.walk(argument) if isinstance(item, ast.BinOp)}
                    self.count(argument, True)
                else:
                    self.visit(argument)
        else:
            self.visit(node.iter)
        for statement in (*node.body, *node.orelse):
            self.visit(statement)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self.ranges and isinstance(node.ctx, ast.Load):
            self.boxed.add(node)
            self.count(node, False)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "float" and len(node.args) == 1 and not node.keywords:
            known = interval(node.args[0], self.ranges)
            if known is not None and max(map(abs, known)) <= FAR:
                self.count(node.args[0], True)
                return
        self.generic_visit(node)
