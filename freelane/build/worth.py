"""Whether a function gains by being compiled, judged by what its loops do.

Interpreters that specialise (3.13 and later) read attributes and globals, call Python functions and make text as fast as C code
can through the same objects, or faster. What C has over them is arithmetic, comparisons and the way from one step to the next.
The weights are of measurements in process, CPython 3.14 free-threaded; see benchmarks/compiled.py.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable

from freelane.build.meaning import NESTED, Function, own_nodes

LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# Nanoseconds, about, that a step wins (or loses, below zero) by being compiled.
ARITHMETIC = 10.0
COMPARISON = 8.0
STEP = 6.0
ATTRIBUTE = -12.0
CALL = -25.0
METHOD = -12.0
TEXT = -40.0
STEPS_OF_OTHERS = -60.0
# What a method without a loop may lose: it is called from loops of others.
FORGIVEN = -60.0


def reason_to_leave(function: Function, method: bool) -> str | None:
    """Why it is not worth it; None where it is."""
    loops = [node for node in own_nodes(function) if isinstance(node, LOOPS)]
    if not loops:
        if method and weight(own_nodes(function)) < 0:
            return "reads attributes and calls, which gains nothing compiled"
        return None if weight(own_nodes(function)) >= FORGIVEN * 4 else "calls and reads, which gains nothing compiled"
    inside = {id(item): item for loop in loops for item in ast.walk(loop)}
    if weight(inside.values()) < 0:
        return "its loop calls and reads, which gains nothing compiled"
    return None


def weight(nodes: Iterable[ast.AST]) -> float:
    total = 0.0
    called: set[int] = set()
    for node in nodes:
        if isinstance(node, (ast.BinOp, ast.AugAssign)):
            total += ARITHMETIC
        elif isinstance(node, ast.Compare):
            total += COMPARISON
        elif isinstance(node, (ast.For, ast.While)):
            total += STEP
        elif isinstance(node, ast.JoinedStr):
            total += TEXT
        elif isinstance(node, (ast.AsyncFor, ast.Yield, ast.YieldFrom)):
            total += STEPS_OF_OTHERS
        elif isinstance(node, ast.Await):
            total -= CALL if isinstance(node.value, ast.Call) else 0.0  # of another that is compiled, most often
        elif isinstance(node, NESTED):
            total += CALL
        elif isinstance(node, ast.Call):
            called.add(id(node.func))
            if isinstance(node.func, ast.Attribute):
                total += METHOD
            elif isinstance(node.func, ast.Name) and node.func.id in ("str", "repr", "format"):
                total += TEXT
            elif not (isinstance(node.func, ast.Name) and hasattr(builtins, node.func.id)):
                total += CALL
        elif isinstance(node, ast.Attribute):
            total += ATTRIBUTE
    return total
