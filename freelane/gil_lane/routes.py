"""Which requests go to the gil lane."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from freelane.adapters.route_model import RouteEntry, RouteTable
from freelane.fastcore.routing.dispatcher import below
from freelane.fastcore.routing.router import Router
from freelane.gil_lane.decorator import marked


class GilRoutes:
    """The requests of one app that the lane serves. Immutable; any thread may ask.

    ``reasons`` says why for each entry of ``table`` by its index. ``globs`` are paths with
    ``*``. Where in doubt a request goes to the lane, which serves the whole app: an answer
    is never wrong for that, and never runs in this process what may not.
    """

    def __init__(
        self, table: RouteTable, reasons: Mapping[int, str], globs: Mapping[str, str], everything: str | None = None
    ) -> None:
        self.table = table
        self.reasons = dict(reasons)
        self.globs = dict(globs)
        self.everything = everything
        # What the framework keeps of the lane's routes, by identity; `table` keeps it alive.
        self.routes = frozenset(id(table.entries[index].route) for index in reasons)
        self.patterns = tuple(compile_glob(glob) for glob in globs)
        self.http = self.compile("http")
        self.websocket = self.compile("websocket")

    def __bool__(self) -> bool:
        return bool(self.reasons or self.globs or self.everything)

    def compile(self, kind: str) -> Any:
        table = self.table
        router = Router(table.order, convertors=dict(table.convertors))
        for index, entry in enumerate(table.entries):
            if entry.kind != kind:
                continue
            wanted = True if index in self.reasons else None
            try:
                router.add(entry.path, entry.methods, wanted, prefix=entry.prefix)
            except ValueError:
                if wanted:
                    # A path that the router cannot take, such as one parameter twice: all below its beginning.
                    router.add(entry.path.partition("{")[0].rstrip("/"), None, True, prefix=True)
        return router.publish().match

    def takes(self, route: Any) -> bool:
        """Whether the lane serves what the framework's routing found."""
        return id(route) in self.routes

    def wanted(self, websocket: bool, method: str, path: str, root_path: str = "") -> bool:
        """Whether the lane serves a request for ``path`` (percent-decoded, without the server's ``root_path``)."""
        if self.everything:
            return True
        if self.table.root_path:
            whole = root_path + path
            inside = below(self.table.root_path, whole)
            path = path if inside == whole else inside
        for pattern in self.patterns:
            if pattern.match(path):
                return True
        try:
            found = self.websocket("GET", path) if websocket else self.http(method, path)
        except Exception:  # a user's convertor refused the value: the app says what that means
            return False
        return type(found) is tuple and found[0] is not None

    def schedule(self, client: Any, rsgi: bool, otherwise: Any) -> Any:
        """The function that Granian's threads call: the lane's requests to ``client``, the rest to ``otherwise``."""
        wanted, post, begin, root_path = self.wanted, client.post, client.begin, client.gateway.root_path

        def schedule(watcher: Any) -> None:
            source = watcher.scope
            if rsgi:
                lane = wanted(source.proto == "ws", source.method, source.path, root_path)
            else:
                lane = wanted(source["type"] == "websocket", source.get("method", ""), source["path"], root_path)
            if not lane:
                otherwise(watcher)
            elif not post(begin, watcher):
                watcher.done()

        return schedule


def compile_glob(glob: str) -> re.Pattern[str]:
    """``*`` matches any run of characters, slashes included; the rest matches itself."""
    return re.compile(".*".join(map(re.escape, glob.split("*"))) + r"\Z", re.DOTALL)


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
