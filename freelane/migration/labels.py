"""The route of a request, as counters name it: never a path that a client chose."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from freelane.adapters import registry

UNKNOWN = "(no route)"
# Answers that are remembered, then forgotten all at once: paths with an id in them are many.
REMEMBERED = 10_000

PARAMETER = re.compile(r"\{([^{}:]+)(?::(\w+))?\}")


class Labels:
    """Patterns of the apps that can be read, in their order. Immutable but for ``known``, where any answer is as good."""

    def __init__(self, apps: Iterable[Any], patterns: Iterable[Any] = ()) -> None:
        self.entries = [
            (entry.methods, compiled(entry.path, entry.prefix), entry.path)
            for app in apps
            for entry in registry.route_table(app).entries
            if entry.kind == "http" and entry.path
        ]
        # What a rule names, for apps whose routes nobody can read.
        self.entries += [(item.methods, item.path, item.text.split()[-1]) for item in patterns if item.text != "*"]
        self.known: dict[tuple[str, str], str] = {}

    def find(self, method: str, path: str) -> str:
        key = method, path
        found = self.known.get(key)
        if found is None:
            if len(self.known) >= REMEMBERED:
                self.known = {}
            found = self.known[key] = self.search(method, path)
        return found

    def search(self, method: str, path: str) -> str:
        for methods, pattern, name in self.entries:
            if (methods is None or method in methods) and pattern.match(path):
                return f"{method} {name}"
        return UNKNOWN


def compiled(path: str, prefix: bool) -> re.Pattern[str]:
    """A path in Starlette's syntax."""
    at, made = 0, ""
    for part in PARAMETER.finditer(path):
        made += re.escape(path[at : part.start()]) + (".*" if part[2] == "path" else "[^/]+")
        at = part.end()
    return re.compile(made + re.escape(path[at:]) + ("(?:/.*)?" if prefix else "") + r"\Z", re.DOTALL)
