"""The interpreted form of functions that were compiled ahead of time, for whoever reads code and never runs it."""

from __future__ import annotations

import gc
import threading
from types import CellType, CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

# Guards the tables, which are added to while modules are imported and functions are defined.
lock = threading.Lock()
functions: WeakKeyDictionary[Any, FunctionType] = WeakKeyDictionary()
# By file and name, in the order of their lines.
codes: dict[tuple[str, str], list[CodeType]] = {}
modules: list[CodeType] = []
indexed = 0


def add(code: CodeType) -> None:
    """A module's code, of which some functions are compiled."""
    with lock:
        modules.append(code)


def keep(compiled: Any, function: FunctionType) -> None:
    """``compiled`` stands in the place of ``function``."""
    with lock:
        functions[compiled] = function


def interpreted(value: Any) -> Any:
    """The Python function that ``value`` was compiled from; anything else as it is.

    Of a function inside another the cells are not known one by one: each holds a list of all.
    """
    global indexed
    if not modules or type(value).__name__ != "cython_function_or_method":
        return value
    with lock:
        known = functions.get(value)
        if known is not None:
            known.__dict__.update(value.__dict__)
            return known
        while indexed < len(modules):
            index(modules[indexed])
            indexed += 1
        own = value.__code__
        # Python counts from the first decorator, Cython from the name.
        known_lines = [
            item for item in codes.get((own.co_filename, own.co_name), ()) if item.co_firstlineno <= own.co_firstlineno
        ]
        code = known_lines[-1] if known_lines else None
    if code is None:
        return value
    held = [item for scope in gc.get_referents(value) if type(scope).__name__.startswith("__pyx_scope_struct")
            for item in gc.get_referents(scope)]  # fmt: skip
    cells = tuple(CellType(held) for _ in code.co_freevars)
    made = FunctionType(code, value.__globals__, value.__name__, value.__defaults__, cells)
    made.__kwdefaults__ = value.__kwdefaults__
    made.__dict__.update(value.__dict__)
    with lock:
        return functions.setdefault(value, made)


def index(code: CodeType) -> None:
    pending = [code]
    while pending:
        for item in pending.pop().co_consts:
            if isinstance(item, CodeType):
                codes.setdefault((item.co_filename, item.co_name), []).append(item)
                pending.append(item)
    for known in codes.values():
        known.sort(key=lambda item: item.co_firstlineno)
