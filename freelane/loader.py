"""Import the app that a command line names."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from freelane.alias import install as install_alias
from freelane.errors import ConfigError


def load(target: str, *, factory: bool = False, app_dir: str | None = None, alias: str | None = None) -> Any:
    """The ASGI app of ``module:attribute`` or ``path/to/file.py:attribute``.

    ``attribute`` may be dotted. With ``factory`` it is called without arguments. ``alias`` is a
    name under which the app imports freelane's Pyre adapter. Raises ConfigError for what is not
    there or is no ASGI app; what the module itself raises on import comes through unchanged.
    """
    if alias is not None:
        install_alias(alias)
    name, colon, attribute = target.rpartition(":")
    if not colon or not name or not attribute:
        raise ConfigError(f"'{target}' names no app: write module:attribute or path/to/file.py:attribute")
    if name.endswith(".py") or "/" in name:
        module = import_file(Path(name))
    else:
        directory = str(Path(app_dir or ".").resolve())
        if directory not in sys.path:
            sys.path.insert(0, directory)
        module = import_module(name)
    value: Any = module
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise ConfigError(f"'{name}' has no attribute '{attribute}'{near(part, dir(value))}") from None
    if factory:
        if not callable(value):
            raise ConfigError(f"'{target}' cannot be called, so it is no factory: leave out --factory")
        value = value()
    if hasattr(value, "__rsgi__") and hasattr(value, "app"):
        value = value.app  # freelane.wrap(app), which `freelane run` has no use for
    check(value, target, factory)
    return value


def import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        # A module that the app imports is the app's error, with its own traceback.
        if exc.name is None or not (name == exc.name or name.startswith(exc.name + ".")):
            raise
        candidates = [path.stem for path in Path(".").glob("*.py")]
        candidates += [path.parent.name for path in Path(".").glob("*/__init__.py")]
        raise ConfigError(f"no module named '{exc.name}'{near(name, candidates)}") from None


def import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"no file '{path}'{near(path.name, [p.name for p in path.parent.glob('*.py')])}")
    path = path.resolve()
    root, names = path.parent, [path.stem]
    # A file inside a package is imported as part of it, so that its relative imports work.
    while (root / "__init__.py").is_file():
        names.insert(0, root.name)
        root = root.parent
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module(".".join(names))


def near(name: str, candidates: list[str]) -> str:
    matches = difflib.get_close_matches(name, candidates, n=3)
    return f"; did you mean {' or '.join(repr(match) for match in matches)}?" if matches else ""


def check(value: Any, target: str, factory: bool) -> None:
    """Raise ConfigError unless ``value`` can be called as ``app(scope, receive, send)``."""
    if not callable(value):
        raise ConfigError(f"'{target}' is no ASGI app: it is a {type(value).__name__}, which cannot be called")
    if inspect.isclass(value):
        raise ConfigError(f"'{target}' is a class, not an app: name an instance of it, or use --factory")
    try:
        inspect.signature(value).bind(None, None, None)
    except TypeError:
        hint = "" if factory else "; if it makes the app, use --factory"
        raise ConfigError(f"'{target}' is no ASGI app: it does not take (scope, receive, send){hint}") from None
    except ValueError:
        pass
