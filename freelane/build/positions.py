"""From places in a text that was made to lines of the source."""

from __future__ import annotations

import ast
from bisect import bisect_right


class Positions:
    """``tree`` has the source's lines, ``text`` is what it was written out as."""

    def __init__(self, tree: ast.Module, text: str) -> None:
        self.text_lines = text.splitlines()
        found: dict[int, list[tuple[int, int]]] = {}
        pending: list[tuple[ast.AST, ast.AST]] = [(tree, ast.parse(text))]
        while pending:
            source, made = pending.pop()
            if type(source) is not type(made):
                continue
            if isinstance(made, (ast.stmt, ast.expr, ast.excepthandler)) and hasattr(source, "lineno"):
                line = self.text_lines[made.lineno - 1].encode()[: made.col_offset]
                found.setdefault(made.lineno, []).append((len(line.decode(errors="replace")), source.lineno))
            for name in source._fields:
                one, other = getattr(source, name, None), getattr(made, name, None)
                if isinstance(one, ast.AST) and isinstance(other, ast.AST):
                    pending.append((one, other))
                elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
                    pending += [(a, b) for a, b in zip(one, other) if isinstance(a, ast.AST) and isinstance(b, ast.AST)]
        # By line of the text: the columns where something begins, each with its line in the source. The outer comes first.
        self.lines = {
            line: (sorted({column for column, _ in pairs}), dict(sorted(pairs, reverse=True))) for line, pairs in found.items()
        }
        self.known = sorted(self.lines)

    def line(self, line: int, column: int) -> int:
        """The source's line of a place in the text."""
        at = bisect_right(self.known, line) - 1
        if at < 0:
            return 1
        columns, lines = self.lines[self.known[at]]
        if self.known[at] != line:
            return lines[columns[-1]]
        return lines[columns[max(0, bisect_right(columns, column) - 1)]]
