"""What an expression in a function may stand for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

PLAIN = (str, bytes, int, float, complex, bool, type(None), range, slice)
# What a root is: ("is", id), ("in", id) something within it, ("named", name) whatever goes by that name,
# ("self", class) an object of that class, ("own", class, name) what its attribute holds, or one of these.
Root = tuple[Any, ...]
ANY: Root = ("any",)
APP: Root = ("app",)
STATE: Root = ("state",)
NEW: Root = ("new",)  # an object that is being made


class Value(NamedTuple):
    """``roots``: what it may be that outlives the call. ``content``: what may be inside of what the call has made."""

    roots: frozenset[Root] = frozenset()
    content: frozenset[Root] = frozenset()


FRESH = Value()
ANYTHING = Value(frozenset({ANY}))


def union(values: Iterable[Value]) -> Value:
    roots: set[Root] = set()
    content: set[Root] = set()
    for value in values:
        roots |= value.roots
        content |= value.content
    return Value(few(roots), few(content))


def few(roots: Iterable[Root]) -> frozenset[Root]:
    found = frozenset(roots)
    return found if len(found) <= 40 else frozenset({ANY})


def element(value: Value) -> Value:
    """What is inside of a value."""
    found: set[Root] = set(value.content)
    for root in value.roots:
        if root[0] == "is":
            found.add(("in", root[1]))
        elif root[0] in ("in", "state"):
            found.add(root)
        else:
            found.add(ANY)
    return Value(few(found))


def inside(value: Value) -> Value:
    """Something new that holds a value."""
    return Value(frozenset(), few(value.roots | value.content))
