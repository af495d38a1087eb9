"""Which requests go to the gil lane."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from freelane.adapters.route_model import RouteEntry, RouteTable
from freelane.fastcore.routing.dispatcher import below
from freelane.gil_lane.decorator import marked


class GilRoutes:
    """The routes of one app that the lane serves. Immutable; any thread may ask.

    ``reasons`` says why for each entry of ``table`` by its index: its requests are the lane's
    wherever the app finds them. ``globs`` are paths with ``*``, with reasons too: requests for
    them go to the lane before the app's own code sees them, as do all where ``everything`` says why.
    """

    def __init__(
        self, table: RouteTable, reasons: Mapping[int, str], globs: Mapping[str, str], everything: str | None = None
    ) -> None:
        self.table = table
        self.reasons = dict(reasons)
        self.globs = dict(globs)
        self.everything = everything
        # An app that no adapter reads has paths only.
        unread = [entry for index in reasons if (entry := table.entries[index]).owner is None]
        self.patterns = (*map(compile_glob, globs), *(compile_glob(f"{entry.path}*") for entry in unread))

    def __bool__(self) -> bool:
        return bool(self.reasons or self.globs or self.everything)

    @property
    def by_path(self) -> bool:
        """Whether some requests are the lane's for their path alone."""
        return bool(self.everything or self.patterns)

    def wanted(self, path: str, root_path: str = "") -> bool:
        """Whether a request for ``path`` (percent-decoded, without the server's ``root_path``) is one of those."""
        if self.everything:
            return True
        if self.table.root_path:
            whole = root_path + path
            inside = below(self.table.root_path, whole)
            path = path if inside == whole else inside
        return any(pattern.match(path) for pattern in self.patterns)

    def schedule(self, client: Any, rsgi: bool, otherwise: Any) -> Any:
        """The function that Granian's threads call: what is the lane's by its path to ``client``, the rest to ``otherwise``."""
        wanted, post, begin, root_path = self.wanted, client.post, client.begin, client.gateway.root_path

        def schedule(watcher: Any) -> None:
            source = watcher.scope
            if not wanted(source.path if rsgi else source["path"], root_path):
                otherwise(watcher)
            elif not post(begin, watcher):
                watcher.done()

        return schedule


def compile_glob(glob: str) -> re.Pattern[str]:
    """``*`` matches any run of characters, slashes included; the rest matches itself."""
    return re.compile(".*".join(map(re.escape, glob.split("*"))) + r"\Z", re.DOTALL)


def checksum(table: RouteTable) -> int:
    """Tells one table of routes from another: the lane's processes must read the one that the server has."""
    return zlib.crc32(repr([(entry.kind, entry.path, entry.methods) for entry in table.entries]).encode())


class Places:
    """Where the lane's routes of one app object are, by what the framework keeps of them.

    Made before the app's startup, when the lane's processes number them; the app may make new
    objects for them, or add routes, until it serves.
    """

    def __init__(self, table: RouteTable, indexes: Iterator[int]) -> None:
        self.table = table
        self.numbers: dict[int, list[int]] = {}
        for index in indexes:
            self.numbers.setdefault(id(table.entries[index].route), []).append(index)

    def number(self, entry: RouteEntry) -> int | None:
        """The number of one of the lane's routes, in a table that was read later; None for another route."""
        found = self.numbers.get(id(entry.route), ())
        entries = self.table.entries
        same = [index for index in found if (entries[index].kind, entries[index].path) == (entry.kind, entry.path)]
        return next(iter((*same, *found)), None)


def names_of(entry: RouteEntry) -> set[str]:
    """The ``module:function`` names of an entry's endpoint."""
    endpoint = entry.endpoint
    names = set()
    while endpoint is not None:
        if not hasattr(endpoint, "__qualname__") and not hasattr(endpoint, "func"):
            endpoint = type(endpoint)
        endpoint = getattr(endpoint, "func", endpoint)  # functools.partial
        names.add(f"{getattr(endpoint, '__module__', '')}:{getattr(endpoint, '__qualname__', '')}")
        endpoint = getattr(endpoint, "__wrapped__", None)
    return names


def told(table: RouteTable, names: list[str]) -> tuple[dict[int, str], dict[str, str], set[str], list[str]]:
    """What the app and the settings say without being asked for reasons.

    Returns the marked entries with their reason, path globs with theirs, names of extension
    modules, and the names that fit nothing.
    """
    reasons = {
        index: "@freelane.gil"
        for index, entry in enumerate(table.entries)
        if entry.endpoint is not None and (entry.gil or marked(entry.endpoint))
    }
    globs: dict[str, str] = {}
    extensions: set[str] = set()
    unknown = []
    for name in names:
        if name.startswith("/"):
            globs[name] = f"gil = '{name}'"
            continue
        fitting = [index for index, entry in enumerate(table.entries) if name in names_of(entry)]
        for index in fitting:
            reasons.setdefault(index, f"gil = '{name}'")
        if not fitting:
            if name.startswith("module:"):
                extensions.add(name.removeprefix("module:"))
            else:
                unknown.append(name)
    return reasons, globs, extensions, unknown
