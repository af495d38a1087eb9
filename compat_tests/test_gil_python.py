"""A module that only the gil lane's interpreter has: there it is used, here it is stood in for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compat_tests import gil_extension
from compat_tests.builds import python_with_gil
from compat_tests.gil_servers import ask, pids
from compat_tests.servers import COMMAND, running
from freelane.gil_lane.detect import import_stubs
from freelane.gil_lane.detect.import_stubs import GilModuleError, StandIn
from freelane.gil_lane.gil_watch import free_threaded

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = """
import needsgil
import needsgil.deeper
from needsgil import answer
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
import freelane

def ok(value): return PlainTextResponse(str(value))
@freelane.gil
async def marked(request): return ok(needsgil.answer())
async def found(request): return ok(answer())
async def plain(request): return ok(1)
kept = {}
kept["hidden"] = lambda: needsgil.answer()
async def hidden(request): return ok(request.app.state.hidden())
app = Starlette(routes=[Route("/" + f.__name__, f) for f in (marked, found, plain, hidden)])
app.state.hidden = kept["hidden"]
"""


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with a package that this one has not."""
    directory = tmp_path_factory.mktemp("interpreter")
    gil_extension.build(directory / "built")
    package = directory / "site" / "needsgil"
    package.mkdir(parents=True)
    for file in (directory / "built").glob("needsgil.*.so"):
        shutil.copy(file, package)
    (package / "__init__.py").write_text("from .needsgil import answer\n")
    (package / "deeper.py").write_text("")
    script = directory / "python"
    gil = "-X gil=1" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    script.write_text(
        f'#!/bin/sh\nPYTHONPATH="{directory / "site"}${{PYTHONPATH:+:$PYTHONPATH}}" exec "{sys.executable}" {gil} "$@"\n'
    )
    script.chmod(0o755)
    return script


def test_the_lane_uses_it_and_the_main_process_names_the_cure(interpreter: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with running(tmp_path, "shop:app", "--gil-python", str(interpreter)) as server:
        assert ask(server, "/marked").body == b"42"
        assert ask(server, "/found").body == b"42"  # found by itself: it reaches a stand-in
        assert ask(server, "/plain").body == b"1"
        assert len(pids(server)) == 1
        assert ask(server, "/hidden").status == 500
        server.wait_for("the route GET /hidden uses")
        assert "the route GET /hidden uses 'needsgil.answer', which this interpreter has not" in server.output()
        assert "Mark the endpoint with @freelane.gil" in server.output()


BUILDS = """
import sys, sysconfig
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
import freelane

def build(): return JSONResponse([bool(sysconfig.get_config_var("Py_GIL_DISABLED")), sys._is_gil_enabled()])
@freelane.gil
def lane(request): return build()
def here(request): return build()
app = Starlette(routes=[Route("/lane", lane), Route("/here", here)])
"""


@pytest.mark.skipif(not free_threaded(), reason="both would be that build")
def test_the_lane_runs_on_a_build_with_the_gil(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(BUILDS)
    with running(tmp_path, "shop:app", "--gil-python", python_with_gil()) as server:
        assert ask(server, "/here").json == [True, False]
        assert ask(server, "/lane").json == [False, True]


def test_check_names_its_state(interpreter: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    command = [COMMAND[0], "check", "shop:app", "--json", "--gil-python", str(interpreter)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    found = json.loads(done.stdout)
    states = {item["name"]: item["state"] for item in found["extensions"]}
    assert states["needsgil"] == "no wheel for this interpreter"
    lanes = {row["path"]: row["lane"] for row in found["routes"]}
    assert (lanes["/found"], lanes["/marked"], lanes["/plain"] == "gil") == ("gil", "gil", False)


def test_without_it_the_import_fails_as_ever(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    done = subprocess.run([*COMMAND, "shop:app", "--port", "0"], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 3
    assert "No module named 'needsgil'" in done.stderr


def test_an_interpreter_without_freelane_says_so(tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    (tmp_path / "shop.py").write_text(textwrap.dedent("""
        import freelane
        from starlette.applications import Starlette
        from starlette.routing import Route
        @freelane.gil
        async def marked(request): ...
        app = Starlette(routes=[Route("/", marked)])
    """))  # fmt: skip
    with running(tmp_path, "shop:app", "--gil-python", str(script)) as server:
        assert ask(server, "/").status == 503
        assert "does --gil-python have freelane?" in server.output()


def test_a_stand_in_can_be_passed_around_and_no_more() -> None:
    thing: Any = StandIn("package.module").part.Name
    assert repr(thing) == "<stand-in for package.module.part.Name>"
    uses: list[Callable[[], object]] = [
        lambda: thing(), lambda: thing + 1, lambda: thing[0], lambda: list(thing), lambda: bool(thing),
        lambda: len(thing), lambda: setattr(thing, "a", 1), lambda: thing < 1,
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(GilModuleError, match="package.module.part.Name"):
            use()
    derived = type("Derived", import_stubs.StandIn.__mro_entries__(thing, ()), {})
    with pytest.raises(GilModuleError):
        derived()


def test_a_library_that_would_use_it_does_not_find_it() -> None:
    finder = import_stubs.Finder(["optional"])
    code = compile("found = finder.find_spec('optional')", f"{sysconfig.get_path('purelib')}/library.py", "exec")
    names = {"finder": finder}
    exec(code, names)
    assert names["found"] is None
    own = compile("found = finder.find_spec('optional')", "/srv/app/shop.py", "exec")
    exec(own, names)
    assert names["found"] is not None
