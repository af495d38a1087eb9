"""Whether an installed framework is one whose private names an adapter knows, and whether they are still its own."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from freelane.adapters.compat import known
from freelane.fastcore import remembered
from freelane.fastcore.routing.watch import Watch

logger = logging.getLogger("freelane.error")


class NotKnown(Exception):
    """A framework is none that can be compiled; the message says why."""


told: set[str] = set()

# Functions of ours that stand under newer names in older releases, as if these had them.
supplied: set[Any] = set()

# Where the code is that adapters stand in for.
PACKAGES = ("anyio", "fastapi", "json", "starlette")


def place(name: str) -> tuple[Any, str]:
    """What holds ``module:name`` or ``module:Class.name``, and the last part. Raises ImportError or AttributeError."""
    module, _, path = name.partition(":")
    *outer, attribute = path.split(".")
    return functools.reduce(getattr, outer, importlib.import_module(module)), attribute


def find(name: str) -> Any:
    """The object behind ``module:name``. Raises ImportError or AttributeError."""
    return getattr(*place(name))


def find_optional(name: str) -> Any:
    """As ``find``; None for what is not there."""
    try:
        return find(name)
    except (ImportError, AttributeError):
        return None


SLOWER = "its own code serves every request, at its own speed"


def obstacle(package: str, names: tuple[str, ...], means: str = SLOWER) -> str:
    """Why the installed ``package`` cannot be compiled, in words; empty where it can. Logged once, with what it ``means``.

    What its functions are decides, not its number.
    """
    found = ""
    if moved := [name for name in names if find_optional(name) is None]:
        found = f"{package} {version(package)} has moved {', '.join(moved)}"
    elif changed := changed_functions(package):
        found = f"{package} {version(package)} has changed {', '.join(changed)}"
    if found:
        tell(found, means)
    return found


def require(package: str, names: tuple[str, ...]) -> None:
    """Raises NotKnown where the installed ``package`` cannot be compiled."""
    if found := obstacle(package, names):
        raise NotKnown(found)


def tell(found: str, means: str = SLOWER) -> None:
    """Log, once, why a framework's own code does what it does."""
    if found not in told:
        told.add(found)
        logger.warning("%s: %s.", found, means)


@functools.cache
def changed_functions(package: str) -> list[str]:
    """Those of the functions in ``known`` that are none of what they were in the releases that are known."""
    table = known.KNOWN[package]
    sources = {module: source_of(module) for module in sorted({name.partition(":")[0] for name in table})}
    key = remembered.digest(repr(table).encode(), *sources.values())
    found = remembered.recall("functions", key)
    if found is None:
        from freelane.adapters.compat import fingerprint

        here = {module: fingerprint.functions(source.decode()) for module, source in sources.items()}
        found = " ".join(
            name for name, seen in table.items()
            if here[name.partition(":")[0]].get(name.partition(":")[2], "-") not in seen
        )  # fmt: skip
        remembered.keep("functions", key, found)
    return found.split()


def source_of(module: str) -> bytes:
    """The source of an imported module, empty where there is none."""
    file = find_optional(f"{module}:__file__")
    try:
        return Path(file).read_bytes() if file else b""
    except OSError:
        return b""


@functools.cache
def homes() -> tuple[str, ...]:
    found = (find_optional(f"{package}:__file__") for package in PACKAGES)
    return tuple(str(Path(file).parent) + "/" for file in found if file)


def is_own(value: Any) -> bool:
    """Whether ``value`` is code of the framework's; what wraps it, whatever name that bears, is not."""
    if isinstance(value, ModuleType):
        return value.__name__ in PACKAGES
    if isinstance(value, type):
        return find_optional(f"{value.__module__}:{value.__qualname__}") is value and value.__module__.split(".")[0] in PACKAGES
    if any(value is known for known in supplied):
        return True
    return type(value) is FunctionType and value.__code__.co_filename.startswith(homes())


def made_in(function: Any, module: str, qualname: str) -> bool:
    """Whether ``function`` is the inner function that ``module`` has at ``qualname``."""
    code = getattr(function, "__code__", None)
    return is_own(function) and function.__module__ == module and code is not None and code.co_qualname == qualname


def replaced(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that a tool or the app has put something else in the place of."""
    return looked_up(tuple(names))[1]


def watch(names: Iterable[str]) -> Watch:
    """Holds for as long as ``names`` mean what they mean now; those that this release lacks are left out."""
    return looked_up(tuple(names))[0]


# What was found of names, for as long as they mean the same; routes by the hundred ask for the same few.
looked_at: dict[tuple[str, ...], tuple[Watch, list[str]]] = {}


def looked_up(names: tuple[str, ...]) -> tuple[Watch, list[str]]:
    found = looked_at.get(names)
    if found is None or not found[0].holds():
        # Made first, so that what changes meanwhile is noticed.
        made = Watch([(holder, attribute) for holder, attribute in places(names) if hasattr(holder, attribute)])
        other = [name for name in names if (value := find_optional(name)) is not None and not is_own(value)]
        found = looked_at[names] = made, other
    return found


def places(names: Iterable[str]) -> Iterator[tuple[Any, str]]:
    for name in names:
        with contextlib.suppress(ImportError, AttributeError):
            yield place(name)


def own(name: str) -> Any:
    """What ``name`` means; something that nothing is equal to, if it was replaced."""
    value = find(name)
    return value if is_own(value) else object()
