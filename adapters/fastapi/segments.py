"""Lines of generated code, and which of them share one call on a thread."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

INDENT = "    "


@dataclass
class Unit:
    """Whole statements, indented as a function's body; ``where`` they run: "thread", "loop" or "any"."""

    where: str
    lines: list[str] = field(default_factory=list)


def whole(units: Iterable[Unit]) -> list[str]:
    return [line for unit in units for line in unit.lines]


def names(lines: list[str]) -> tuple[set[str], set[str]]:
    """The names that some lines read, and those that they set."""
    found = [node for node in ast.walk(ast.parse("\n".join(["if True:", *lines]))) if isinstance(node, ast.Name)]
    stored = {node.id for node in found if isinstance(node.ctx, ast.Store)}
    return {node.id for node in found if isinstance(node.ctx, ast.Load)}, stored


def grouped(units: list[Unit]) -> Iterator[list[Unit]]:
    """The units in their order: alone, or in runs from one of a thread to the last with none of the loop's between."""
    at = 0
    while at < len(units):
        last = at
        if units[at].where == "thread":
            for index in range(at, len(units)):
                if units[index].where == "loop":
                    break
                if units[index].where == "thread":
                    last = index
        yield units[at : last + 1]
        at = last + 1


def split(units: list[Unit], parameters: list[str], result: str, hop: str) -> tuple[list[str], list[str]]:
    """Functions for what runs on threads, and the lines of a coroutine function that awaits each with ``hop``.

    ``parameters`` are the names that are set before the first unit, ``result`` is one that is read after the last.
    """
    functions: list[str] = []
    body: list[str] = []
    known = set(parameters)
    runs = [(run, [names(unit.lines) for unit in run]) for run in grouped(units)]
    for number, (run, found) in enumerate(runs):
        lines = whole(run)
        read = {name for loaded, _ in found for name in loaded}
        stored = {name for _, kept in found for name in kept}
        if run[0].where == "thread":
            later = {name for _, after in runs[number + 1 :] for loaded, _ in after for name in loaded}
            given = ", ".join(sorted((read | stored) & known))
            taken = ", ".join(sorted(stored & (later | {result})))
            functions += [f"def segment_{number}({given}):", *lines, *([f"{INDENT}return {taken}"] if taken else []), ""]
            call = f"await {hop}(segment_{number}{', ' + given if given else ''})"
            body.append(f"{INDENT}{taken} = {call}" if taken else INDENT + call)
        else:
            body += lines
        known |= stored
    return functions, body
