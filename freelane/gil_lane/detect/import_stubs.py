"""Stand-ins for modules that only the gil lane's interpreter has (``--gil-python``)."""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

from freelane.errors import FreelaneError


class GilModuleError(FreelaneError, RuntimeError):
    """A module of the gil lane was used in the main process."""


class StandIn:
    """What a name of such a module is here: it can be passed around, and nothing else.

    Attributes give further stand-ins; the first use that needs the real thing raises
    GilModuleError.
    """

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "name", name)

    def __getattr__(self, attribute: str) -> StandIn:
        if attribute.startswith("__") and attribute.endswith("__"):
            raise AttributeError(attribute)
        return StandIn(f"{object.__getattribute__(self, 'name')}.{attribute}")

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        name = object.__getattribute__(self, "name")

        def refuse(cls: type, *args: Any, **kwargs: Any) -> NoReturn:
            raise GilModuleError(complaint(name))

        return (type(name.rpartition(".")[2], (), {"__new__": refuse}),)

    def __repr__(self) -> str:
        return f"<stand-in for {object.__getattribute__(self, 'name')}>"


def refusing(operation: str) -> Any:
    def method(self: StandIn, *args: Any, **kwargs: Any) -> NoReturn:
        raise GilModuleError(complaint(object.__getattribute__(self, "name")))

    method.__name__ = operation
    return method


for _operation in ("call", "setattr", "delattr", "getitem", "setitem", "delitem", "iter", "next", "len", "contains",
                   "enter", "exit", "aenter", "aexit", "aiter", "anext", "await", "bool", "int", "float", "index",
                   "add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "mod", "pow",
                   "matmul", "neg", "abs", "lt", "le", "gt", "ge"):  # fmt: skip
    setattr(StandIn, f"__{_operation}__", refusing(f"__{_operation}__"))


def complaint(name: str) -> str:
    route = current_route()
    where = f"the route {route}" if route else "code outside any route"
    return (
        f"{where} uses '{name}', which this interpreter has not: it is there in the gil lane only (--gil-python). "
        "Mark the endpoint with @freelane.gil, or add it to `gil` in [tool.freelane]."
    )


def current_route() -> str | None:
    """The method and path of the request that is being served, as its frames know it."""
    frame = sys._getframe(2)
    while frame is not None:
        for name in ("scope", "request", "websocket"):
            value = frame.f_locals.get(name)
            scope = getattr(value, "scope", value)
            if isinstance(scope, dict) and "path" in scope:
                return f"{scope.get('method', 'WebSocket')} {scope['path']}"
        frame = frame.f_back  # type: ignore[assignment]
    return None


class StandInModule(ModuleType):
    """A module all of whose names are stand-ins."""

    def __getattr__(self, name: str) -> StandIn:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        return StandIn(f"{self.__name__}.{name}")


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds stand-ins for ``names`` and what is below them, last of all, for the app's own imports.

    A package that merely would use such a module if it were there must not find it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in self.names or not (path == [] or self.asked_by_the_app()):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def asked_by_the_app(self) -> bool:
        from freelane.gil_lane.detect.import_graph import FOREIGN

        frame = sys._getframe(1)
        while frame is not None:
            file = frame.f_code.co_filename
            if "importlib" not in file and file != __file__ and not file.endswith(("gil_lane/imports.py",)):
                return not file.startswith((*FOREIGN, "<frozen"))
            frame = frame.f_back  # type: ignore[assignment]
        return False

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandInModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []


def install(names: Iterable[str]) -> None:
    """Give the app stand-ins for ``names`` from now on."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
    if names := tuple(names):
        sys.meta_path.append(Finder(names))
