"""The rooms of the package: who imports whom, what each folder says of itself, what is defined in one place."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = [path for room in ("freelane", "fastcore", "adapters") for path in sorted((ROOT / room).rglob("*.py"))]
# Names of modules in Cython sources and declarations, which import-linter does not read.
IMPORTED = re.compile(r"^\s*(?:from|cimport|import)\s+(freelane\.[\w.]+)", re.MULTILINE)


def has_linter() -> bool:
    try:
        return int(importlib.metadata.version("import-linter").partition(".")[0]) >= 2
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.mark.thread_unsafe(reason="starts a process")
@pytest.mark.skipif(not has_linter(), reason="import-linter 2, which follows the rooms' links, has no wheel here")
def test_contracts_are_kept() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, text=True, timeout=600, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_cases_of_a_group_stay_together(request: pytest.FixtureRequest) -> None:
    """xdist goes by what it has added to their names: without that, a module's servers start once in each process."""
    if request.config.getoption("loadgroup", False):
        assert "@" in request.node.nodeid


def test_modules_keep_the_contracts() -> None:
    for room, allowed in (("fastcore", ("freelane.fastcore",)), ("adapters", ("freelane.fastcore", "freelane.adapters"))):
        sources = [path for path in (ROOT / room).rglob("*.py*") if path.suffix in (".py", ".pyx", ".pxd")]
        assert sources
        for path in sources:
            found = IMPORTED.findall(path.read_text())
            assert [name for name in found if not name.startswith(allowed)] == [], path


def test_each_folder_says_what_is_in_it() -> None:
    for path in ROOMS:
        if path.name == "__init__.py":
            assert ast.get_docstring(ast.parse(path.read_text())), path


def test_exit_codes_are_defined_in_one_place() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in ROOMS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id.startswith("EXIT_")
    ]
    assert {place.partition(":")[0] for place in found} == {"freelane/errors.py"}


def imports(path: Path, known: set[str]) -> set[str]:
    """The modules of ours that one imports, inside functions too."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for item in node.names:
                name = f"{node.module}.{item.name}"
                found.add(name if name in known else node.module)
    return found & known


def test_no_module_imports_itself_by_way_of_others() -> None:
    modules = {}
    for path in ROOMS:
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        modules[".".join(parts if parts[0] == "freelane" else ("freelane", *parts))] = path
    left = {name: imports(path, set(modules)) - {name} for name, path in modules.items()}
    # The settings' checks ask the table of options for a name, once both are there.
    for name in ("checks", "tls"):
        left[f"freelane.settings.{name}"].discard("freelane.settings.table")
    # Take away whoever imports nothing that is left; a circle stays.
    while gone := [name for name, found in left.items() if not found & left.keys()]:
        for name in gone:
            del left[name]
    assert sorted(left) == []
