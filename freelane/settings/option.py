"""What is known of one option: the metadata of a field of ``Settings``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# The groups of the help, in its order.
GROUPS = {
    "app": "App",
    "address": "Address",
    "workers": "Processes and threads",
    "limits": "Limits and times",
    "reload": "Reload",
    "logs": "Logs and metrics",
    "proxy": "Proxies and headers",
    "tls": "TLS",
    "protocol": "Protocols",
    "gil": "The gil lane",
    "migration": "From one app to another",
}


@dataclass(frozen=True, slots=True)
class Option:
    """``uvicorn``: None for an option of ours alone, "" for one that means what uvicorn's does, else what differs.

    ``inert`` tells whoever gives it why it does nothing here; values that are ``heeded`` do something, ":" stands
    for every ``module:attribute``, which choices that are ``open`` may be. ``environment`` names further variables,
    ``separator`` divides a list in ours. ``valued`` is a switch that takes a value, as uvicorn's does. What is
    ``common`` is shown by ``--help``, the rest by ``--help-all``.
    """

    help: str
    group: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    common: bool = False
    uvicorn: str | None = None
    inert: str = ""
    heeded: tuple[Any, ...] = ()
    environment: tuple[str, ...] = ()
    name: str = ""
    separator: str = ","
    metavar: str = ""
    open: bool = False
    valued: bool = False


def option(default: Any, help: str, group: str, **known: Any) -> Any:
    """A field of ``Settings``."""
    metadata = {"option": Option(help, group, **known)}
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)
