"""Find the app where nobody names one: where the fastapi command looks for it, by reading and without an import."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from pathlib import Path

from freelane.errors import ConfigError
from freelane.settings.sources import read_pyproject

FILES = ("main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py")
# Names that are the app by themselves, then what makes one.
NAMES = ("app", "api", "application")
MAKERS = ("FastAPI", "Starlette", "Pyre", "Quart", "Litestar", "Flask")


def find_target(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> tuple[str, str]:
    """The target, and where it was found, in words. Raises ConfigError where there is none."""
    environ = os.environ if environ is None else environ
    directory = Path.cwd() if directory is None else directory
    for key in ("FREELANE_APP", "UVICORN_APP"):
        if environ.get(key):
            return environ[key], key
    tools = read_pyproject(directory / "pyproject.toml")
    for table, key in (("freelane", "app"), ("fastapi", "entrypoint")):
        target = tools.get(table, {}).get(key)
        if isinstance(target, str):
            return target, f"[tool.{table}] {key} in pyproject.toml"
    for name in FILES:
        if (directory / name).is_file():
            return in_file(name, directory), f"found in {name}"
    raise ConfigError(f"no app is named, and none of {', '.join(FILES)} is here: write module:app or path/to/file.py:app")


def complete(target: str) -> str:
    """``target`` with the name of the app, where it is a file alone. Raises ConfigError."""
    return in_file(target) if target.endswith(".py") and Path(target).is_file() else target


def in_file(name: str, directory: Path = Path()) -> str:
    """``file.py:attribute``. Raises ConfigError for a file in which no app is seen."""
    try:
        tree = ast.parse((directory / name).read_bytes())
    except (SyntaxError, ValueError):
        return f"{name}:app"  # its own import says best what is wrong
    bound = names_in(tree)
    found = [known for known in NAMES if known in bound] or [known for known, made in bound.items() if made in MAKERS]
    if not found:
        raise ConfigError(f"'{name}' has no app that can be seen: write {name}:NAME")
    return f"{name}:{found[0]}"


def names_in(tree: ast.Module) -> dict[str, str]:
    """The names that a module binds, each with the name of what is called to make it."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom | ast.Import):
            found |= {alias.asname or alias.name: "" for alias in node.names}
        elif isinstance(node, ast.AsyncFunctionDef):
            found[node.name] = ""
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            made = node.value.func if isinstance(node.value, ast.Call) else None
            maker = made.id if isinstance(made, ast.Name) else made.attr if isinstance(made, ast.Attribute) else ""
            found |= {target.id: maker for target in targets if isinstance(target, ast.Name)}
    return found
