"""Find and import the app that a command line names."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from freelane.alias import install as install_alias
from freelane.errors import ConfigError, UnavailableError
from freelane.fastcore.interpreted import interpreted

logger = logging.getLogger("freelane.error")


def load(
    target: str, *, factory: bool = False, app_dir: str | None = None, alias: str | None = None, interface: str = "auto",
    compiled: bool = False,
) -> Any:  # fmt: skip
    """The ASGI app of ``module:attribute`` or ``path/to/file.py:attribute``.

    ``attribute`` may be dotted. With ``factory`` it is called without arguments. ``alias`` is a
    name under which the app imports freelane's Pyre adapter. ``interface`` is uvicorn's: an app of
    another kind is wrapped. ``compiled``: import what ``freelane build`` made, where it fits. Raises
    ConfigError for what is not there or is no ASGI app; what the
    module itself raises on import comes through unchanged.
    """
    if alias is not None:
        install_alias(alias)
    name, colon, attribute = target.rpartition(":")
    if not colon or not name or not attribute:
        raise UnavailableError(f"'{target}' names no app: write module:attribute or path/to/file.py:attribute")
    directory = str(Path(app_dir or ".").resolve())
    finder = None
    if compiled:
        from freelane.build.importer import install_for

        finder = install_for(target, app_dir)
    if name.endswith(".py") or "/" in name:
        module = import_file(Path(name))
    else:
        if directory not in sys.path:
            sys.path.insert(0, directory)
        module = import_module(name)
    if finder is not None:
        finder.tell()
    value: Any = module
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise UnavailableError(f"'{name}' has no attribute '{attribute}'{near(part, dir(value))}") from None
    if factory:
        if not callable(value):
            raise UnavailableError(f"'{target}' cannot be called, so it is no factory: leave out --factory")
        value = value()
    elif makes_app(value):
        logger.warning("'%s' takes no arguments, so it makes the app: better say so with --factory.", target)
        value = value()
    if hasattr(value, "__rsgi__") and hasattr(value, "app"):
        value = value.app  # freelane.wrap(app), which `freelane run` has no use for
    value = adapt(value, interface)
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
        raise UnavailableError(f"no module named '{exc.name}'{near(name, candidates)}") from None


def import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UnavailableError(f"no file '{path}'{near(path.name, [p.name for p in path.parent.glob('*.py')])}")
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


def takes(value: Any, *arguments: Any) -> bool | None:
    """Whether ``value`` can be called so; None where nothing tells."""
    try:
        inspect.signature(value).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return None
    return True


def makes_app(value: Any) -> bool:
    """Whether this is a function that returns the app, which uvicorn calls unasked."""
    return inspect.isfunction(interpreted(value)) and takes(value) is True and takes(value, None, None, None) is False


def adapt(value: Any, interface: str) -> Any:
    """An ASGI 3 app for an app that speaks ``interface``."""
    if interface == "wsgi":
        try:
            from a2wsgi import WSGIMiddleware
        except ImportError:
            raise ConfigError("--interface wsgi needs a2wsgi: pip install a2wsgi") from None
        return WSGIMiddleware(value)
    single = callable(value) and takes(value, None) is True and takes(value, None, None, None) is False
    if interface == "asgi2" or (interface == "auto" and single and not makes_app(value)):
        return ASGI2(value)
    return value


class ASGI2:
    """An app of ASGI 2, ``app(scope)(receive, send)``, as one of ASGI 3."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope)(receive, send)


def check(value: Any, target: str, factory: bool) -> None:
    """Raise ConfigError unless ``value`` can be called as ``app(scope, receive, send)``."""
    if not callable(value):
        raise UnavailableError(f"'{target}' is no ASGI app: it is a {type(value).__name__}, which cannot be called")
    if inspect.isclass(value) and not hasattr(value, "__await__"):
        raise UnavailableError(f"'{target}' is a class, not an app: name an instance of it, or use --factory")
    if takes(value, None, None, None) is False:
        hint = "" if factory else "; if it makes the app, use --factory"
        raise UnavailableError(f"'{target}' is no ASGI app: it does not take (scope, receive, send){hint}")
