"""No module outside the gates knows a private name of the libraries below us, by its syntax tree."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("adapters", "fastcore", "freelane")
LIBRARIES = frozenset({"anyio", "fastapi", "granian", "opentelemetry", "pydantic", "pydantic_core", "starlette"})
# The ways in: what they name is tested by test_framework_contract.py and test_granian_contract.py.
GATES = ("adapters/compat/", "freelane/server/granian.py")


def sources(suffix: str) -> list[Path]:
    found = [path for room in ROOMS for path in sorted((ROOT / room).rglob(f"*.{suffix}"))]
    return [path for path in found if not path.relative_to(ROOT).as_posix().startswith(GATES)]


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__")) and name.strip("_") != ""


# Of named tuples; of Python's own exit stacks, whose interface has nothing for it.
PUBLIC = ("_asdict", "_fields", "_make", "_replace", "_exit_callbacks")


def library(module: str | None) -> bool:
    return (module or "").partition(".")[0] in LIBRARIES


def imports(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """(line, module and name, the name that it is bound to) of what is imported from the libraries."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                if library(item.name):
                    yield node.lineno, item.name, item.asname or item.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and not node.level and library(node.module):
            for item in node.names:
                yield node.lineno, f"{node.module}.{item.name}", item.asname or item.name


def reads(tree: ast.AST) -> Iterator[tuple[int, ast.expr, str]]:
    """(line, object, attribute), by a dot or by ``getattr`` and its kin with a name that is written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.lineno, node.value, node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1:
            name = node.args[1]
            if node.func.id in ("getattr", "hasattr", "setattr", "delattr") and isinstance(name, ast.Constant):
                if isinstance(name.value, str):
                    yield node.lineno, node.args[0], name.value


def ours(tree: ast.Module) -> set[str]:
    """The private names that a module of ours gives to anything."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return {name for name in found if is_private(name)}


def standard(tree: ast.Module) -> set[str]:
    """Names bound to modules of Python's own."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                if item.name.partition(".")[0] in sys.stdlib_module_names:
                    found.add(item.asname or item.name.partition(".")[0])
    return found


def offences(text: str, known: set[str]) -> list[tuple[int, str]]:
    """What a module uses that is private to a library; ``known`` are private names of ours."""
    tree = ast.parse(text)
    found = [(line, name) for line, name, _ in imports(tree) if any(map(is_private, name.split(".")))]
    own = standard(tree)
    for line, value, name in reads(tree):
        if not is_private(name) or name in known or name in PUBLIC:
            continue
        if isinstance(value, ast.Name) and value.id in own:
            continue
        found.append((line, f"{ast.unparse(value)}.{name}"))
    return sorted(found)


@pytest.fixture(scope="module")
def known() -> set[str]:
    return {name for path in sources("py") for name in ours(ast.parse(path.read_text()))}


@pytest.mark.parametrize("path", sources("py"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_private_name_of_a_library(path: Path, known: set[str]) -> None:
    assert offences(path.read_text(), known) == []


@pytest.mark.parametrize("suffix", ["pyx", "pxd", "pxi"])
def test_no_private_name_in_a_compiled_module(suffix: str) -> None:
    for path in sources(suffix):
        for line in path.read_text().splitlines():
            found = re.match(r"\s*(?:from\s+([\w.]+)\s+c?import\s+(.+)|c?import\s+([\w.]+))", line)
            if found and library(found[1] or found[3]):
                names = re.findall(r"\w+", f"{found[1] or found[3]} {found[2] or ''}")
                assert not any(map(is_private, names)), f"{path}: {line}"


@pytest.mark.parametrize("text", [
    "from anyio._core import _eventloop", "import starlette._utils", "from fastapi.routing import _IncludedRouter",
    "import granian\ngranian._granian", "from starlette import routing as r\nr.Router._x", "import anyio.x as a\na.b._c.d",
    "def f(layer): return layer._exception_handlers", "def f(app): return getattr(app, '_native_telemetry', None)",
    "def f():\n    from pydantic._internal import x",
])  # fmt: skip
def test_the_test_sees_them(text: str) -> None:
    assert offences(text, {"_ours"})


@pytest.mark.parametrize("text", [
    "import sys\nsys._xoptions", "from starlette.routing import Route\nRoute.__call__", "def f(x): return x._ours",
    "from freelane.adapters.pyre import _request", "_ = 1", "class A:\n    __slots__ = ()",
])  # fmt: skip
def test_and_no_others(text: str) -> None:
    assert not offences(text, {"_ours"})
