"""Let an app import freelane's Pyre adapter by the name of the framework that it was written for."""

from __future__ import annotations

import importlib
import sys

from freelane.errors import ConfigError

TARGET = "freelane.adapters.pyre"
SUBMODULES = ("app", "cookies", "engine", "mcp", "rpc", "testing", "uploads")


def install(name: str) -> None:
    """Make ``import name`` and its submodules give the adapter. Raises ConfigError for what is no module's name."""
    if not name.isidentifier():
        raise ConfigError(f"--alias must be the name of a module, not '{name}'")
    package = importlib.import_module(TARGET)
    if sys.modules.setdefault(name, package) is not package:
        raise ConfigError(f"--alias: a module '{name}' is imported already")
    for submodule in SUBMODULES:
        sys.modules[f"{name}.{submodule}"] = importlib.import_module(f"{TARGET}.{submodule}")
