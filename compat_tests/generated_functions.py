"""Functions made up by hypothesis: arithmetic, text, lists, dicts, loops, exceptions, closures, generators, coroutines."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = ("a", "b", "c", "d")
LITERALS = (
    "0", "1", "-1", "2", "3", "7", "10**20", "0.0", "-0.0", "1.0", "0.5", "-2.5", "1e308", "float('inf')", "float('nan')", "''",
    "'abc'", "'ß x'", "b'xy'", "None", "True", "False", "[]", "[1, 2.5, 'z']", "(1, 2)", "{'k': 1}", "{1, 2}", "range(3)",
)  # fmt: skip
BINARY = ("+", "-", "*", "/", "//", "%", "&", "|", "^")
COMPARE = ("<", "<=", "==", "!=", ">", ">=", "in", "not in", "is", "is not")
CALLS = (
    "({0} << 3)", "({0} >> 1)", "({0} ** 0.5)", "len({0})", "abs({0})", "int({0})", "float({0})", "str({0})", "bool({0})", "list({0})", "sorted({0}, key=str)", "sum({0})",
    "min({0}, {1})", "max({0}, {1})", "round({0}, 2)", "repr({0})", "divmod({0}, {1})", "tuple({0})", "dict({0})", "isinstance({0}, int)",
    "({0}).upper()", "({0}).get('k', {1})", "({0}).append({1})", "'{{}}-{{}}'.format({0}, {1})", "', '.join(map(str, {0}))", "type({0}).__name__",
    "hash({0}) == hash({1})", "[x for x in {0}]", "{{x: {1} for x in {0}}}", "sum(x for x in {0} if x)", "f'{{{0}}}'", "f'{{{0}!r:>12}}'",
    "f'{{{0}:.3f}}'", "({0})[{1}]", "({0})[1:]", "({0})[::-1]", "enumerate({0})", "zip({0}, {1})", "any({0})", "(lambda x, y={1}: (x, y))({0})",
)  # fmt: skip


@st.composite
def expressions(draw: Any, names: tuple[str, ...], depth: int = 3) -> str:
    kind = draw(st.integers(0, 9)) if depth else draw(st.integers(0, 1))

    def inner() -> str:
        return str(draw(expressions(names, depth - 1)))

    if kind == 0:
        return str(draw(st.sampled_from(LITERALS)))
    if kind in (1, 2):
        return str(draw(st.sampled_from(names)))
    if kind in (3, 4, 5):
        return f"({inner()} {draw(st.sampled_from(BINARY))} {inner()})"
    if kind == 6:
        return f"({inner()} {draw(st.sampled_from(COMPARE))} {inner()})"
    if kind == 7:
        word = draw(st.sampled_from(("and", "or")))
        return f"({inner()} {word} {inner()})"
    if kind == 8:
        return f"({inner()} if {inner()} else {inner()})"
    text = draw(st.sampled_from(CALLS))
    # A replacement field takes no backslash and no quotes of its own string.
    parts = [draw(st.sampled_from(names)) if text.startswith("f'") else inner() for _ in range(2)]
    return str(text.format(*parts))


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


@st.composite
def statements(draw: Any, names: tuple[str, ...], kind: str, loops: tuple[str, ...], depth: int = 2) -> list[str]:
    """Lines; ``kind`` is plain, generator or coroutine."""

    def expression() -> str:
        return str(draw(expressions((*names, *loops))))

    def body(*more: str) -> list[str]:
        return list(draw(blocks(names, kind, (*loops, *more), depth - 1)))

    choice = draw(st.integers(0, 12 if depth else 4))
    if loops and choice in (6, 7, 8):
        choice = 0  # what doubles in a loop in a loop fills the memory
    if choice in (0, 1):
        return [f"{draw(st.sampled_from(names))} = {expression()}"]
    if choice == 2:
        return [
            f"{draw(st.sampled_from(names))} {draw(st.sampled_from(BINARY[:6]))}= {draw(st.sampled_from(('2', '0.5', 'd', '3')))}"
        ]
    if choice == 3:
        if kind == "generator":
            return [f"yield {expression()}"]
        if kind == "coroutine":
            return [f"{draw(st.sampled_from(names))} = await given({expression()})"]
        return [f"{draw(st.sampled_from(names))} = {expression()}"]
    if choice == 4:
        return [f"{draw(st.sampled_from(names))}, {draw(st.sampled_from(names))} = {expression()}, {expression()}"]
    if choice == 5:
        return [f"if {expression()}:", *indented(body()), "else:", *indented(body())]
    if choice in (6, 7, 8):
        counter = "ijklmn"[len(loops)]
        ends = draw(
            st.sampled_from(
                (
                    "5",
                    "a % 7",
                    "1, 6",
                    "6, 0, -2",
                    "len(d)",
                    "3, b % 9",
                    "hash(c) % 3, 8",
                    *(f"{name} + 1, 4" for name in loops),
                )
            )
        )
        return [f"for {counter} in range({ends}):", *indented(body(counter))]
    if choice == 9:
        return ["try:", *indented(body()), f"except {draw(st.sampled_from(('TypeError', 'Exception', '(ValueError, ZeroDivisionError)')))} as e:",
                f"    {draw(st.sampled_from(names))} = type(e).__name__", *(["finally:", *indented(body())] if draw(st.booleans()) else [])]  # fmt: skip
    if choice == 10:
        target = draw(st.sampled_from(names))
        return [
            f"def inner(x, y={expression()}):",
            f"    return (x, y, {draw(expressions(names, 1))})",
            f"{target} = inner({expression()})",
        ]
    if choice == 11:
        return [f"return {expression()}"] if kind != "generator" else ["return"]
    return ["total = 0.0", *[f"for {'ijklmn'[len(loops)]} in range(9):", f"    total += {'ijklmn'[len(loops)]} * 0.25",
            f"    total = total {draw(st.sampled_from('+-*/'))} {draw(st.sampled_from(('1.5', '2', '-0.0', 'total')))}"],
            f"{draw(st.sampled_from(names))} = total"]  # fmt: skip


@st.composite
def blocks(draw: Any, names: tuple[str, ...], kind: str, loops: tuple[str, ...], depth: int) -> list[str]:
    found: list[str] = []
    for _ in range(draw(st.integers(1, 2))):
        found += draw(statements(names, kind, loops, depth))
    return found


@st.composite
def functions(draw: Any, name: str) -> str:
    """The source of one function of three arguments."""
    kind = draw(st.sampled_from(("plain", "plain", "plain", "generator", "coroutine")))
    lines = ["d = [a, b]"]
    for _ in range(draw(st.integers(2, 4))):
        lines += draw(statements(NAMES, kind, ()))
    lines.append("yield (a, b, c, d)" if kind == "generator" else "return (a, b, c, d)")
    word = "async def" if kind == "coroutine" else "def"
    return "\n".join([f"{word} {name}(a, b=1.5, *, c='k'):", *indented(lines)])


@st.composite
def modules(draw: Any, count: int) -> str:
    return (
        "\n\n".join(["async def given(x):\n    return x", *(draw(functions(f"f{number}")) for number in range(count))]) + "\n"
    )
