"""``freelane build`` and ``run --compiled``: compiled functions are what runs, and mean what their source means."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from compat_tests import build_project
from compat_tests.generated_functions import modules
from compat_tests.servers import running
from freelane.build import builder, importer, place, project
from freelane.errors import UnavailableError

pytestmark = pytest.mark.thread_unsafe(reason="compiles and imports")

COUNT = 40


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Speed of the code is not the point here."""
    monkeypatch.setenv("CFLAGS", "-O0")
    before = list(sys.meta_path), list(sys.path)
    yield
    sys.meta_path[:], sys.path[:] = before
    for name in ("small", "deep"):  # setuptools does not bear being imported twice
        sys.modules.pop(name, None)
    importer.finder = None


def build(root: Path, target: str, **more: Any) -> dict[str, dict[str, Any]]:
    found = project.find(target, str(root), **more)
    version = builder.needed()
    records = builder.build_project(found, place.directory(found.root, version), version, lambda *said: None)
    return {record["name"]: record for record in records}


def compiled(root: Path, name: str) -> ModuleType:
    sys.path.insert(0, str(root))
    importer.install(root)
    return importlib.import_module(name)


def interpreted(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_compiled(value: Any) -> bool:
    return type(value).__name__ == "cython_function_or_method"


def shown(value: Any) -> Any:
    """A value with its types, so that 1 and 1.0 and True differ, and 0.0 and -0.0."""
    if isinstance(value, float):
        return "float", "nan" if math.isnan(value) else value.hex()
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [shown(item) for item in value]
    if isinstance(value, dict):
        return "dict", [(shown(key), shown(item)) for key, item in value.items()]
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, sorted(map(repr, map(shown, value)))
    if callable(value) or type(value).__name__ in ("generator", "map", "enumerate", "zip"):
        return type(value).__name__.replace("cython_function_or_method", "function")
    return type(value).__name__, repr(value)


def outcome(function: Any, arguments: tuple[Any, ...]) -> Any:
    """The value, or the type of the exception."""
    try:
        result = function(*arguments)
        if inspect.iscoroutine(result) or hasattr(result, "cr_running"):
            result = asyncio.run(result)
        elif hasattr(result, "gi_running"):
            found = []
            try:
                for item in result:
                    found.append(shown(item))
            except Exception as exc:
                return "generated", found, type(exc).__name__
            return "generated", found
        return "returned", shown(result)
    except Exception as exc:
        return "raised", type(exc).__name__


ARGUMENTS: tuple[tuple[Any, ...], ...] = (
    (1,), (3, 2), (-4, 2.0), (2.5, -1), ("text", 2), ([1, 2, 3], 0), ({"k": 1}, "k"), (0.0, -0.0), (True, 10**30), (None,), (),
    (math.inf, math.nan), (b"xy", 1), (7, "abc"),
)  # fmt: skip


@settings(max_examples=1, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(source=modules(COUNT))
def test_generated_functions_mean_the_same(tmp_path_factory: pytest.TempPathFactory, source: str) -> None:
    compare(tmp_path_factory.mktemp("generated"), source)


@pytest.mark.exhaustive
@settings(max_examples=40, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck))
@given(source=modules(100))
def test_many_generated_functions_mean_the_same(tmp_path_factory: pytest.TempPathFactory, source: str) -> None:
    compare(tmp_path_factory.mktemp("generated"), source)


def compare(root: Path, source: str) -> None:
    name = f"generated_{place.digest(source.encode())[:8]}"
    path = root / f"{name}.py"
    path.write_text(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = build(root, f"{name}:app", everything=True)[name]
        assert record["compiled"], record["reason"]
        ours, theirs = compiled(root, name), interpreted(path, name)
        functions = [key for key in vars(theirs) if key.startswith("f")]
        assert sum(is_compiled(getattr(ours, key)) for key in functions) >= 0.8 * len(functions), record["kept"]
        for key in functions:
            for arguments in ARGUMENTS:
                expected = outcome(getattr(theirs, key), fresh(arguments))
                found = outcome(getattr(ours, key), fresh(arguments))
                assert found == expected, f"{key}{arguments}\n{inspect.getsource(getattr(theirs, key))}"


def fresh(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(item.copy() if isinstance(item, (list, dict)) else item for item in arguments)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The project, and the records of its build."""
    root = tmp_path_factory.mktemp("shop")
    build_project.write(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", "-O0")
        return root, build(root, "shop.main:app", everything=True)


def probe(root: Path, mode: str) -> dict[str, Any]:
    script = root / "probe.py"
    script.write_text(build_project.PROBE)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, str(script), str(root), mode], env=env, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_project_is_what_its_source_is(shop: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    ours, theirs = probe(shop[0], "compiled"), probe(shop[0], "source")
    for found, expected in zip(ours["said"], theirs["said"]):
        assert found == expected
    assert len(ours["said"]) == len(theirs["said"])
    assert ours["compiled"] == "compiled 7 of 11 modules"
    stay = {name for name, kind in ours["kinds"].items() if kind == "function"}
    assert stay == {"shop.models.Item.total", "shop.calc.own"}


def test_records_say_why_not(shop: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    records = shop[1]
    assert {name for name, record in records.items() if record["compiled"]} == {
        "beside", "shop.api.first", "shop.api.second", "shop.calc", "shop.größe", "shop.main", "shop.models",
    }  # fmt: skip
    assert records["shop.broken"]["reason"].startswith("SyntaxError: ")
    assert records["shop.my-mod"]["reason"] == "its name is no identifier"
    assert "unreached" not in records and "shop.__main__" not in records
    kept = {name: reason for name, _, reason in records["shop.calc"]["kept"]}
    assert kept == {"own": "uses .f_code, which reads frames or code"}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """One module, built."""
    (tmp_path / "small.py").write_text(SMALL)
    build(tmp_path, "small:app")
    return tmp_path


SMALL = """\
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def hello(request):
    return PlainTextResponse(type(hello).__name__)

app = Starlette(routes=[Route("/", hello)])
"""


def test_edited_source_is_what_runs(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small / "small.py").write_text(SMALL + "\nEDITED = True\n")
    module = compiled(small, "small")
    assert module.EDITED and not is_compiled(module.hello)
    assert importer.finder is not None
    importer.finder.tell()
    assert capsys.readouterr().err == "freelane: changed since `freelane build`: the source is used of small\n"
    assert importer.describe() == "compiled 0 of 1 modules"


def test_half_an_extension_is_not_loaded(small: Path) -> None:
    (made,) = small.glob(f".freelane/build/*/small-*{place.SUFFIX}")
    made.write_bytes(made.read_bytes()[:5000])
    assert not is_compiled(compiled(small, "small").hello)


@pytest.mark.parametrize("changed", ["interpreter", "cython"])
def test_what_was_built_by_others_is_not_loaded(small: Path, changed: str, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = small.glob(".freelane/build/*/build.json")
    known = json.loads(path.read_text())
    path.write_text(json.dumps(known | {changed: "another"}))
    assert not is_compiled(compiled(small, "small").hello)
    assert importer.finder is not None
    importer.finder.tell()
    assert "the source is used" in capsys.readouterr().err


def test_second_build_compiles_nothing(small: Path) -> None:
    assert build(small, "small:app")["small"]["fresh"] is False


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SMALL)
    (tmp_path / ".freelane").write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot be written"):
        build(tmp_path, "small:app")


def test_missing_compiler_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -pipe")
    with pytest.raises(UnavailableError, match="no 'no-such-compiler'.*apt-get install gcc"):
        builder.needed()


def test_command_serves_what_it_compiled(small: Path) -> None:
    freelane = [str(Path(sys.executable).parent / "freelane")]
    done = subprocess.run([*freelane, "build", "small:app", "--check"], cwd=small, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0 and "compiled, 1 of 1 functions" in done.stdout
    tables = [
        subprocess.run([*freelane, "routes", "small:app", *more], cwd=small, text=True, capture_output=True, timeout=600).stdout
        for more in ([], ["--compiled"])
    ]
    assert tables[0] == tables[1] and " / " in tables[0]
    env = {**os.environ, "CC": "no-such-compiler"}
    check = [*freelane, "check", "small:app", "--compiled"]
    done = subprocess.run(check, cwd=small, env=env, text=True, capture_output=True, timeout=600)
    assert done.returncode == 1 and "there is no 'no-such-compiler'" in done.stdout
    with running(small, "small:app", "--compiled") as server:
        assert server.get("/").read() == b"cython_function_or_method"
        assert "| compiled 1 of 1 modules |" in server.output()
        assert "GIL off" in server.output() or "t" not in sys.abiflags
    subprocess.run([*freelane, "build", "small:app", "--clean"], cwd=small, check=True, capture_output=True, timeout=600)
    assert not (small / ".freelane" / "build").exists()


def test_recursion_ends_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "deep.py").write_text(
        "def plain(n): return 1 + plain(n)\n"
        "class Node:\n    @property\n    def up(self): return self.up\n    def __getattr__(self, name): return getattr(self, name + 'x')\n"
        "def generate(n):\n    yield from generate(n)\n"
        "async def wait(n): return await wait(n)\n"
        "def nested(n):\n    def inner(m): return inner(m)\n    return inner(n)\n"
    )
    build(tmp_path, "deep:app", everything=True)
    deep = compiled(tmp_path, "deep")
    assert is_compiled(deep.plain)
    calls: list[Callable[[], Any]] = [lambda: deep.plain(1), lambda: deep.Node().up, lambda: next(deep.generate(1)), lambda: asyncio.run(deep.wait(1)),
             lambda: deep.nested(1)]  # fmt: skip
    for call in calls:
        with pytest.raises(RecursionError):
            call()
