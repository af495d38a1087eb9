"""Whether an installed framework is one whose private names an adapter knows, and whether they are still its own."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from freelane.fastcore.routing.watch import Watch

logger = logging.getLogger("freelane.error")
told: set[str] = set()

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


def release(package: str) -> tuple[int, int]:
    """(major, minor) of the installed package."""
    numbers = re.findall(r"\d+", version(package))
    return int(numbers[0]), int(numbers[1])


def obstacle(package: str, oldest: tuple[int, int], newest: tuple[int, int], names: tuple[str, ...]) -> str:
    """Why the installed ``package`` cannot be compiled, in words; empty where it can. Logged once."""
    installed = f"{package} {version(package)}"
    found = ""
    if not oldest <= release(package) <= newest:
        known = f"{oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
        found = f"{installed} is not one that freelane can compile ({known})"
    elif moved := [name for name in names if find_optional(name) is None]:
        found = f"{installed} has moved {', '.join(moved)}"
    if found and found not in told:
        told.add(found)
        logger.warning("%s: its own code serves every request, at its own speed.", found)
    return found


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
    return type(value) is FunctionType and value.__code__.co_filename.startswith(homes())


def made_in(function: Any, module: str, qualname: str) -> bool:
    """Whether ``function`` is the inner function that ``module`` has at ``qualname``."""
    code = getattr(function, "__code__", None)
    return is_own(function) and function.__module__ == module and code is not None and code.co_qualname == qualname


def replaced(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that a tool or the app has put something else in the place of."""
    return [name for name in names if (value := find_optional(name)) is not None and not is_own(value)]


def watch(names: Iterable[str]) -> Watch:
    """Holds for as long as ``names`` mean what they mean now; those that this release lacks are left out."""
    return Watch([(holder, attribute) for holder, attribute in places(names) if hasattr(holder, attribute)])


def places(names: Iterable[str]) -> Iterator[tuple[Any, str]]:
    for name in names:
        with contextlib.suppress(ImportError, AttributeError):
            yield place(name)


def own(name: str) -> Any:
    """What ``name`` means; something that nothing is equal to, if it was replaced."""
    value = find(name)
    return value if is_own(value) else object()
