"""The private names of the frameworks that the adapters use: all of them declared, and all of them there.

They are declared in ``adapters/compat`` as "module:name". A failure here says what moved.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import freelane.adapters
from compat_tests.scheduled import Server
from freelane.adapters.compat import fingerprint, known, versions

ROOT = Path(freelane.adapters.__file__).parent
FRAMEWORKS = ("anyio", "fastapi", "starlette")


def declarations() -> Iterator[ModuleType]:
    for path in sorted(ROOT.glob("compat/*_gate.py")):
        yield importlib.import_module(f"freelane.adapters.compat.{path.stem}")


def declared() -> list[str]:
    return sorted({name for module in declarations() for name in module.PRIVATE})


def optional() -> set[str]:
    return {name for module in declarations() for name in getattr(module, "OPTIONAL", ())}


def find(name: str) -> object:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute, None)


def is_private(module: str, name: str) -> bool:
    return any(part.startswith("_") for part in [*module.split("."), name] if not part.endswith("__"))


def imported() -> Iterator[tuple[str, str]]:
    """(file, "module:name") for each private name of a framework that an adapter imports."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in FRAMEWORKS:
                for alias in node.names:
                    if is_private(node.module, alias.name):
                        yield str(path.relative_to(ROOT)), f"{node.module}:{alias.name}"


def test_an_adapter_declares_its_private_names() -> None:
    assert declared()


@pytest.mark.parametrize("name", declared())
def test_private_name_is_where_it_was(name: str) -> None:
    assert find(name) is not None, f"{name} has moved"


def test_no_private_name_is_imported_undeclared() -> None:
    known = {*declared(), *optional()}
    assert [found for found in imported() if found[1] not in known] == []


def test_optional_names_are_those_of_the_newest_release() -> None:
    assert [name for name in sorted(optional()) if find(name) is None] == []


@pytest.mark.parametrize("package", FRAMEWORKS)
def test_what_is_stood_in_for_is_what_it_was(package: str) -> None:
    assert versions.changed_functions(package) == [], "test the release, then run compat_tests.upstream.fingerprints"


def test_an_anyio_that_is_not_known_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    other = {**known.KNOWN["anyio"], "anyio.to_thread:run_sync": {"another": "5"}}
    monkeypatch.setitem(known.KNOWN, "anyio", other)
    versions.changed_functions.cache_clear()
    names: list[str] = []

    def endpoint(request: Request) -> Response:
        names.append(threading.current_thread().name)
        return Response()

    app = Starlette(routes=[Route("/", endpoint)])
    server = Server(app)
    try:
        assert server.ask("GET", "/").status == 200
    finally:
        server.close()
        versions.changed_functions.cache_clear()
    assert names[0].startswith("AnyIO worker thread")


SAME = """
class Router:
    async def find(self, path: str, *, deep: bool = False) -> "list[str]":
        "Finds."
        found: list[str] = []
        return [*found, f"{path!r}"]
""", """
class Router:
    async def find(
        self, path, *, deep=False,
    ):
        # Another release wrote it like this.
        found = []
        return [*found, f'{path!r}']
"""  # fmt: skip


def test_a_fingerprint_is_of_what_a_function_does() -> None:
    one, other = (fingerprint.functions(source) for source in SAME)
    # The value is that of every interpreter, which is what the table is made of.
    assert one == other == {"Router.find": "fe7c4dd750af"}
    assert fingerprint.functions(SAME[1].replace("False", "True")) != other
