"""Whether an installed framework is one whose private names an adapter knows."""

from __future__ import annotations

import importlib
import logging
import re
from importlib.metadata import version
from typing import Any

logger = logging.getLogger("freelane.error")
told: set[str] = set()


def find(name: str) -> Any:
    """The object behind ``module:name``. Raises ImportError or AttributeError."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


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
