"""What a function is: a fingerprint of the syntax tree of its source, the same on every interpreter.

Annotations, docstrings and formatting are left out, and so is what only some releases of
Python write into a tree (fields that are empty).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator

# Says which parser of ours the recorded fingerprints are of.
LENGTH = 12


def functions(source: str) -> dict[str, str]:
    """The fingerprint of each function and method in ``source``, by its qualified name."""
    return {name: fingerprint(node) for name, node in defined(ast.parse(source).body)}


def defined(body: Iterable[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from defined(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.If, ast.Try)):
            yield from defined([*node.body, *node.orelse], prefix)


def fingerprint(node: ast.AST) -> str:
    return hashlib.sha256("".join(words(node)).encode()).hexdigest()[:LENGTH]


def words(node: object) -> Iterator[str]:
    """The tree in one way of writing."""
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        # `a: int = 1` does what `a = 1` does.
        node = ast.Assign(targets=[node.target], value=node.value)
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name in sorted(node._fields):
            value = getattr(node, name, None)
            if name in ("annotation", "returns", "ctx", "type_comment", "kind", "type_params", "decorator_list"):
                continue
            if name == "body" and isinstance(value, list):
                value = [item for item in value if not is_silent(item)]
            if value is not None and value != []:
                yield f" {name}="
                yield from words(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            yield from words(item)
            yield ","
        yield "]"
    else:
        yield repr(node)


def is_silent(node: ast.AST) -> bool:
    """Whether a statement does nothing: a docstring, a bare annotation."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
