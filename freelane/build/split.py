"""A loop twice: for counts that are small, where integer arithmetic on its counter fits into C's, and for all others."""

from __future__ import annotations

import ast
import copy
from typing import Any

from freelane.build import counters
from freelane.build.meaning import LOCATED, bound_names, own_nodes

# Up to here the square of a counter, and its sum with another, is far from the limits of 64 bits.
SMALL = 1 << 30
STOP = "__freelane_stop"
COUNTER = "__freelane_counter"


def split(function: Any, shadowed: frozenset[str]) -> dict[str, counters.Interval]:
    """Write loops out twice where that makes arithmetic C's; changes ``function``. Returns new names that are C integers."""
    if "range" in shadowed or "range" in bound_names(function):
        return {}
    known: dict[str, counters.Interval] = {}
    splitter = Splitter(function, known)
    function.body = [item for statement in function.body for item in splitter.statement(statement)]
    return known


class Splitter:
    def __init__(self, function: Any, known: dict[str, counters.Interval]) -> None:
        self.known = known
        nodes = list(own_nodes(function))
        loops = [
            node
            for node in nodes
            if isinstance(node, ast.For) and isinstance(node.target, ast.Name) and counters.is_range(node.iter)
        ]
        named: dict[str, list[ast.For]] = {}
        for loop in loops:
            named.setdefault(loop.target.id, []).append(loop)  # type: ignore[attr-defined]
        self.unfit = counters.captured(function) | counters.other_bindings(function, nodes, named)
        self.unfit |= {name for name, each in named.items() if not counters.uses_are_inside(nodes, name, each)}

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """The statements in the place of one; the outermost loops are looked at, and not those inside of them."""
        if isinstance(node, ast.For):
            return self.loop(node)
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(node, name, None)
            if isinstance(inner, list) and inner and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                setattr(node, name, [item for statement in inner for item in self.statement(statement)])
        for handler in getattr(node, "handlers", ()):
            handler.body = [item for statement in handler.body for item in self.statement(statement)]
        return [node]

    def loop(self, node: ast.For) -> list[ast.stmt]:
        if not isinstance(node.target, ast.Name) or not counters.is_range(node.iter) or node.target.id in self.unfit:
            return [node]
        assert isinstance(node.iter, ast.Call)
        if len(node.iter.args) == 3 or (len(node.iter.args) == 2 and not isinstance(node.iter.args[0], ast.Constant)):
            return [node]
        if any(isinstance(item, (ast.Yield, ast.YieldFrom, ast.Await)) for item in ast.walk(node)):
            return [node]
        name = node.target.id
        wide = {name: (0, counters.FAR)}
        narrow = {name: (0, SMALL)}
        if gains(node, narrow) <= gains(node, wide):
            return [node]
        number = len(self.known)
        stop, counter = f"{STOP}{number}", f"{COUNTER}{number}"
        self.known[stop] = (-SMALL, SMALL)
        last = node.iter.args[-1]
        # The range is asked once, as ever.
        held = f"{stop}_given"
        quick = copy.deepcopy(node)
        Renamed(name, counter).visit(quick)
        assert isinstance(quick.iter, ast.Call) and isinstance(node.iter, ast.Call)
        quick.iter.args[-1] = ast.Name(stop, ast.Load())
        node.iter.args[-1] = ast.Name(held, ast.Load())
        text = f"{held} = 0\nif type({held}) is int and -{SMALL} < {held} < {SMALL}:\n    {stop} = {held}\nelse:\n    pass"
        assign, choice = ast.parse(text).body
        assert isinstance(assign, ast.Assign) and isinstance(choice, ast.If)
        for item in (*ast.walk(assign), *ast.walk(choice)):
            if isinstance(item, LOCATED):
                ast.copy_location(item, node)
        assign.value = last
        choice.body.append(quick)
        choice.orelse = [node]
        for made in (quick.iter.args[-1], node.iter.args[-1]):
            ast.copy_location(made, last)
        return [assign, choice]


def gains(loop: ast.For, ranges: dict[str, counters.Interval]) -> int:
    """How many uses of a counter are C's."""
    uses = counters.Uses(ranges, counters.likely_floats(list(ast.walk(loop))))
    for statement in loop.body:
        uses.visit(statement)
    return sum(uses.native.values())


class Renamed(ast.NodeTransformer):
    def __init__(self, name: str, other: str) -> None:
        self.name, self.other = name, other

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == self.name:
            node.id = self.other
        return node
