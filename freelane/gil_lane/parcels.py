"""What the app's layers left for an endpoint, taken to a process of the gil lane, and its changes back.

Both processes import the same app, so its own objects (routers, routes, endpoints) travel as
numbers in a list that both have; the rest by pickle (docs.python.org/3/library/pickle), which
is safe here: either end is the app's own code, on a socket that nobody else has.
"""

from __future__ import annotations

import contextvars
import importlib
import io
import logging
import pickle
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from freelane.adapters.registry import adapter_of
from freelane.adapters.route_model import RouteTable
from freelane.fastcore.lane.protocol import MAX_HEAD
from freelane.fastcore.lane.turn import LaneError

logger = logging.getLogger("freelane.error")

Scope = MutableMapping[str, Any]
MISSING = object()

# Scope keys of the server's and the framework's: what an endpoint does to them is not carried back.
STANDARD = frozenset({
    "type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path", "headers",
    "client", "server", "extensions", "subprotocols", "path_params", "app_root_path", "app", "router", "route", "endpoint",
    "fastapi", "state",
})  # fmt: skip


class NotCarried:
    """Stands for a value that could not be carried: using it says so."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __reduce__(self) -> Any:
        return NotCarried, (self.what,)

    def fail(self, *args: Any, **named: Any) -> Any:
        raise LaneError(sorry(object.__getattribute__(self, "what")))

    __call__ = __bool__ = __iter__ = __len__ = __getitem__ = __setitem__ = __contains__ = fail

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.fail()


def sorry(what: str) -> str:
    return (
        f"{what} cannot be pickled, and so does not reach endpoints of the gil lane. Make it in a dependency or in the "
        "endpoint, or name the public path of the route in `gil` of [tool.freelane]: then its requests go to the lane whole, "
        "and the app's middleware runs there."
    )


class LaneTraceback(Exception):
    """The traceback of an exception in another process, as text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return "\n" + self.text


class Parcels:
    """Packs and unpacks for one loop of one of the two processes.

    ``landmarks`` are the app's own objects. ``remade`` are scope keys that the framework's layers
    set again there. ``state(number)`` is what every request of a route has in its state from the
    start; ``context`` the one that requests begin with. ``name`` is the process's, for tracebacks.
    """

    def __init__(
        self, landmarks: list[Any], remade: frozenset[str], state: Callable[[int], Mapping[str, Any]],
        context: contextvars.Context, name: str,
    ) -> None:  # fmt: skip
        self.landmarks = landmarks
        self.numbers = {id(item): number for number, item in enumerate(landmarks)}
        self.remade = remade
        self.state = state
        self.context = context
        self.name = name
        self.told: set[str] = set()

    # -- there

    def pack(self, scope: Scope, number: int) -> bytes:
        """The scope as the layers left it, and the context variables that they set."""
        items = {key: value for key, value in scope.items() if key not in self.remade and not key.startswith("freelane.")}
        items.pop("state", None)
        values = self.set_here()
        return self.dump({"items": items, "state": self.added(scope, number), "values": values}, True)

    def set_here(self) -> dict[str, Any]:
        """The context variables that were set since the request began, by "module:name"."""
        found = {}
        for variable, value in contextvars.copy_context().items():
            if self.context.get(variable, MISSING) is not value:
                home = home_of(variable)
                if home is not None:
                    found[home] = value
        return found

    def added(self, scope: Scope, number: int) -> dict[str, Any]:
        """What the request's state has beyond what it began with."""
        base = self.state(number)
        return {key: value for key, value in (scope.get("state") or {}).items() if base.get(key, MISSING) is not value}

    def unpack(self, packed: bytes, number: int) -> tuple[dict[str, Any], contextvars.Context]:
        """The scope, with the state that this process's requests begin with, and the context to run in."""
        found = self.load(packed)
        scope: dict[str, Any] = found["items"]
        scope["state"] = {**self.state(number), **found["state"]}
        context = self.context.copy()
        for home, value in found["values"].items():
            module, _, name = home.partition(":")
            context.run(getattr(importlib.import_module(module), name).set, value)
        return scope, context

    # -- and back

    def changes(self, scope: Scope, number: int) -> Callable[[], bytes]:
        """What packs the changes to ``scope`` from now on: b"" where there are none."""

        def pack() -> bytes:
            items = {key: value for key, value in scope.items() if key in carried}
            state = self.added(scope, number)
            return self.dump({"items": items, "state": state}, False) if items or state else b""

        carried = scope.keys() - STANDARD
        before = pack()

        def changed() -> bytes:
            now = pack()
            return now if now != before else b""

        return changed

    def renew(self, scope: Scope, packed: bytes) -> None:
        """Make what the layers left in ``scope`` what the endpoint made of it."""
        found = self.load(packed)
        for target, items in ((scope, found["items"]), (scope.get("state") or {}, found["state"])):
            for key, value in items.items():
                if type(value) is not NotCarried and not renew(target.get(key, MISSING), value):
                    target[key] = value

    def pack_error(self, error: BaseException) -> bytes:
        """An exception, by its class, arguments and attributes, and its traceback; without the first where they resist."""
        text = "".join(traceback.format_exception(error))[-(MAX_HEAD // 8) :]
        text = f"in {self.name}:\n{text}"
        try:
            made = self.pickled((type(error), error.args, vars(error), text))
            remake(*self.load(made)[:3])
            if len(made) < MAX_HEAD:
                return made
        except Exception:
            pass
        summary = f"{type(error).__name__}: {error}"[: MAX_HEAD // 8]
        return self.pickled((LaneError, (summary,), {}, text))

    def unpack_error(self, packed: bytes) -> BaseException:
        kind, args, attributes, text = self.load(packed)
        error = remake(kind, args, attributes)
        error.__cause__ = LaneTraceback(text)
        return error

    # -- pickle

    def dump(self, parts: dict[str, dict[str, Any]], stand_in: bool) -> bytes:
        """``parts`` pickled; of what cannot be, a stand-in or nothing."""
        try:
            return self.pickled(parts)
        except Exception:
            return self.pickled({part: self.can_be(part, items, stand_in) for part, items in parts.items()})

    def can_be(self, part: str, items: dict[str, Any], stand_in: bool) -> dict[str, Any]:
        found = {}
        for key, value in items.items():
            try:
                self.pickled(value)
            except Exception:
                what = f"{PARTS[part].format(key)} (a {type(value).__module__}.{type(value).__qualname__})"
                self.tell(what)
                if stand_in and part != "values":
                    found[key] = NotCarried(what)
            else:
                found[key] = value
        return found

    def tell(self, what: str) -> None:
        if what not in self.told:
            self.told.add(what)
            logger.warning("%s", sorry(what))

    def pickled(self, value: Any) -> bytes:
        file = io.BytesIO()
        Pickler(file, self.numbers).dump(value)
        return file.getvalue()

    def load(self, packed: bytes) -> Any:
        return Unpickler(io.BytesIO(packed), self.landmarks).load()


def parcels_for(table: RouteTable, landmarks: list[Any], gateway: Any, name: str) -> Parcels:
    """The parcels of one loop: the app as ``table`` and ``landmarks`` have it, served through ``gateway``."""
    adapters = {id(entry.owner): adapter_of(entry.owner) for entry in table.entries if entry.owner is not None}
    remade = frozenset().union(*(adapter.remade for adapter in adapters.values()))

    def state(number: int) -> Mapping[str, Any]:
        mounts = table.entries[number].mounts
        return gateway.state if not mounts else {**gateway.state, **{k: v for m in mounts for k, v in (m.state or {}).items()}}

    return Parcels(landmarks, remade, state, gateway.context, name)


PARTS = {"items": "scope[{!r}]", "state": "request.state.{}", "values": "the context variable {}"}


class Pickler(pickle.Pickler):
    """Writes the app's own objects as numbers."""

    def __init__(self, file: io.BytesIO, numbers: dict[int, int]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.numbers = numbers

    def persistent_id(self, item: Any) -> int | None:
        return self.numbers.get(id(item))


class Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, landmarks: list[Any]) -> None:
        super().__init__(file)
        self.landmarks = landmarks

    def persistent_load(self, number: Any) -> Any:
        return self.landmarks[number]


def renew(old: Any, new: Any) -> bool:
    """Make ``old`` equal to ``new`` in its place, since layers hold it; False where that cannot be."""
    if type(old) is not type(new):
        return False
    if isinstance(old, dict):
        # Not by methods of the class's own, which may keep count: its attributes follow.
        dict.clear(old)
        dict.update(old, new)
    elif isinstance(old, list):
        old[:] = new
    elif not hasattr(old, "__dict__"):
        return False
    if hasattr(old, "__dict__"):
        vars(old).clear()
        vars(old).update(vars(new))
    return True


def remake(kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    """An exception like another, without a user's ``__init__``, which may want other arguments."""
    error = kind(*args) if kind.__module__ == "builtins" else kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error


# Context variables and where they are found, "module:name" or None. Only added to.
homes: dict[contextvars.ContextVar[Any], str | None] = {}


def home_of(variable: contextvars.ContextVar[Any]) -> str | None:
    """The module's global that holds ``variable``; None where none does."""
    try:
        return homes[variable]
    except KeyError:
        pass
    for name, module in list(sys.modules.items()):
        for key, value in list(getattr(module, "__dict__", {}).items()):
            if value is variable:
                homes[variable] = f"{name}:{key}"
                return homes[variable]
    homes[variable] = None
    # The interpreter's own, which a context manager of its module sets.
    if variable.name != "decimal_context":
        logger.warning(
            "The context variable %r is no module's global, and so does not reach endpoints of the gil lane.", variable.name
        )
    return None
