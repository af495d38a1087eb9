"""Which endpoints need the GIL is found without being told, by what they can reach."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from compat_tests.gil_servers import ask, pids
from compat_tests.servers import COMMAND, running
from freelane import settings
from freelane.gil_lane.detect.report import Report, RouteReport, detect
from freelane.gil_lane.gil_watch import free_threaded

pytestmark = [
    pytest.mark.thread_unsafe(reason="starts processes"),
    pytest.mark.skipif(not free_threaded(), reason="the GIL is on in any case"),
]

HELPER = """
from needsgil import answer
def far(): return near()
def near(): return answer()
def safe(): return 3
class Service:
    def work(self): return answer()
    def idle(self): return 1
class Base:
    @property
    def value(self): return answer()
class Derived(Base): pass
"""

APP = """
import functools, importlib
from typing import Annotated
import needsgil, helper
from helper import Service, far
from needsgil import answer as renamed
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

def ok(value): return PlainTextResponse(str(value))
async def r_global(request): return ok(needsgil.answer())
async def r_from(request): return ok(renamed())
async def r_helper(request): return ok(helper.far())
async def r_helper_from(request): return ok(far())
def decorated(function):
    @functools.wraps(function)
    async def inner(request): return await function(request)
    return inner
@decorated
async def r_decorated(request): return ok(needsgil.answer())
def needing(function):
    async def inner(request): return ok(renamed())
    return inner
@needing
async def r_decorator(request): return ok(1)
def make(function):
    async def closure(request): return ok(function())
    return closure
r_closure = make(renamed)
async def r_default(request, function=renamed): return ok(function())
async def r_inside(request):
    import needsgil as other
    return ok(other.answer())
async def r_inside_from(request):
    from helper import near
    return ok(near())
service = Service()
async def r_method(request): return ok(service.work())
async def r_class(request): return ok(Service().work())
async def r_inherited(request): return ok(helper.Derived().value)
r_partial = functools.partial(lambda function, request: ok(function()), renamed)
async def r_lambda(request): return ok((lambda: renamed())())
async def r_nested(request):
    def inner(): return [renamed() for _ in range(1)]
    return ok(inner())
table = {"one": renamed}
async def r_table(request): return ok(table["one"]())
async def r_by_name(request): return ok(importlib.import_module("needsgil").answer())
class r_endpoint(HTTPEndpoint):
    async def get(self, request): return ok(renamed())
async def w_socket(websocket):
    await websocket.accept()
    await websocket.send_text(str(renamed()))
    await websocket.close()

async def s_plain(request): return ok(1)
async def s_helper(request): return ok(helper.safe())
def s_def(request): return ok(len("x"))
async def s_local(request):
    needsgil = 5
    return ok(needsgil)

async def d_dynamic(request): return ok(importlib.import_module(request.query_params["name"]).answer())
async def d_eval(request): return ok(eval("renamed()"))

made = [(name, value) for name, value in list(globals().items()) if name[:2] in ("r_", "s_", "d_")]
routes = [Route("/" + name, value) for name, value in made]
app = Starlette(routes=[*routes, Mount("/below", routes=[Route("/r_mounted", r_global)]), WebSocketRoute("/w_socket", w_socket)])
"""


@pytest.fixture
def directory(extension: Path, tmp_path: Path) -> Path:
    for file in extension.glob("needsgil.*.so"):
        shutil.copy(file, tmp_path)
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


def report(directory: Path, text: str | None = None, **options: object) -> Report:
    if text is not None:
        (directory / "shop.py").write_text(textwrap.dedent(text))
    found = detect("shop:app", settings.resolve({"app_dir": str(directory), **options}, {}, directory))
    assert found.error is None, found.error
    return found


def route(found: Report, path: str) -> RouteReport:
    if not found.routes:  # nothing asks for the GIL, so nothing was followed
        return RouteReport("http", None, path)
    return next(item for item in found.routes if item.path == path)


def test_each_way_to_reach_an_extension_is_found(directory: Path) -> None:
    found = report(directory)
    wrong = [item.path for item in found.routes if ("r_" in item.path or "w_" in item.path) and not item.chain]
    assert not wrong
    assert {item.chain[-1] for item in found.routes if item.chain} == {"needsgil"}


def test_what_reaches_nothing_stays(directory: Path) -> None:
    found = report(directory)
    assert [item.path for item in found.routes if "/s_" in item.path and (item.chain or item.doubts)] == []


def test_what_cannot_be_decided_is_said(directory: Path) -> None:
    found = report(directory)
    assert route(found, "/d_dynamic").doubts == ["d_dynamic calls import_module"]
    assert route(found, "/d_eval").doubts == ["d_eval calls eval"]


def test_the_chain_names_every_step(directory: Path) -> None:
    chain = route(report(directory), "/r_helper").chain
    assert chain == ["shop.r_helper", "helper.far", "helper.near", "needsgil.answer", "needsgil"]


def test_extensions_are_listed_with_their_state(directory: Path) -> None:
    found = {item.name: item for item in report(directory).extensions}
    assert found["needsgil"].state == "turns the GIL on"
    assert all(item.state == "safe" for name, item in found.items() if name != "needsgil")


def test_an_app_without_such_extensions_has_no_doubts(directory: Path) -> None:
    found = report(directory, """
        import importlib
        from starlette.applications import Starlette
        from starlette.routing import Route
        async def any(request): return importlib.import_module(request.url.path)
        app = Starlette(routes=[Route("/", any)])
    """)  # fmt: skip
    assert found.unsafe == []
    assert route(found, "/").doubts == []


def test_code_around_every_route_counts_for_every_route(directory: Path) -> None:
    found = report(directory, """
        import needsgil
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        class Tracing:
            def __init__(self, app): self.app = app
            async def __call__(self, *call):
                needsgil.answer()
                await self.app(*call)
        app = Starlette(middleware=[Middleware(Tracing)])
    """)  # fmt: skip
    assert found.everywhere is not None
    assert found.everywhere[-1] == "needsgil"


def test_a_lifespan_and_the_state_that_it_fills_are_said(directory: Path) -> None:
    found = report(directory, """
        import contextlib, needsgil
        from starlette.applications import Starlette
        from starlette.routing import Route
        @contextlib.asynccontextmanager
        async def lifespan(app): yield {"model": needsgil.answer}
        async def predict(request): return request.state.model()
        async def other(request): return 1
        app = Starlette(routes=[Route("/predict", predict), Route("/other", other)], lifespan=lifespan)
    """)  # fmt: skip
    assert found.startup is not None
    assert route(found, "/predict").doubts
    assert not route(found, "/other").doubts


def test_a_module_that_is_named_counts_as_one_that_needs_the_gil(directory: Path) -> None:
    (directory / "claims.py").write_text("def use(): return 1\n")
    text = """
        import claims
        from starlette.applications import Starlette
        from starlette.routing import Route
        async def uses(request): return claims.use()
        app = Starlette(routes=[Route("/uses", uses)])
    """
    assert route(report(directory, text), "/uses").chain is None
    assert route(report(directory, text, gil=["module:claims"]), "/uses").chain == ["shop.uses", "claims"]


@pytest.mark.skipif(importlib.util.find_spec("fastapi") is None, reason="FastAPI is not here")
def test_fastapi_dependencies_count(directory: Path) -> None:
    found = report(directory, """
        import needsgil
        from typing import Annotated
        from fastapi import APIRouter, Depends, FastAPI
        app = FastAPI()
        def deep(): return needsgil.answer()
        def model(value=Depends(deep)): return value
        @app.get("/default")
        def by_default(value=Depends(model)): return value
        @app.get("/annotated")
        def by_annotation(value: Annotated[int, Depends(model)]): return value
        @app.get("/guarded", dependencies=[Depends(model)])
        def guarded(): return 1
        router = APIRouter(prefix="/sub")
        @router.get("/routed")
        def routed(): return needsgil.answer()
        @router.get("/free")
        def free(): return 1
        app.include_router(router)
    """)  # fmt: skip
    chains = {item.path: bool(item.chain) for item in found.routes if item.chain or item.path == "/sub/free"}
    assert chains == {"/default": True, "/annotated": True, "/guarded": True, "/sub/routed": True, "/sub/free": False}


def without_doubts() -> str:
    """The app without the endpoints that cannot be followed."""
    return "".join(line for line in APP.splitlines(keepends=True) if not line.startswith("async def d_"))


def test_the_server_serves_what_was_found_and_keeps_the_gil_off(directory: Path) -> None:
    (directory / "shop.py").write_text(without_doubts())
    with running(directory, "shop:app", "--show-lanes") as server:
        for path in ("/r_global", "/r_helper", "/r_method", "/r_inside", "/r_partial", "/below/r_mounted", "/r_endpoint"):
            answer = ask(server, path)
            assert (answer.status, answer.body, answer.header("freelane-lane")) == (200, b"42", "gil"), path
        for path in ("/s_plain", "/s_helper", "/s_def"):
            answer = ask(server, path)
            assert answer.header("freelane-lane") != "gil"
            assert answer.header("freelane-gil") == "off"
        assert "GIL off, kept off by -X gil=0" in server.output()
        assert "/r_helper is in the gil lane: shop.r_helper -> helper.far" in server.output()
        assert len(pids(server)) == 1


def test_it_can_be_turned_off(directory: Path) -> None:
    with running(directory, "shop:app", "--gil-auto", "off", "--show-lanes") as server:
        assert ask(server, "/r_global").header("freelane-lane") != "gil"
        assert pids(server) == []


def test_a_late_import_is_told(directory: Path) -> None:
    (directory / "shop.py").write_text(textwrap.dedent("""
        import freelane
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route
        @freelane.gil
        async def marked(request): return PlainTextResponse("")
        async def late(request):
            __builtins__["__import__"](request.query_params["name"])
            return PlainTextResponse("")
        app = Starlette(routes=[Route("/marked", marked), Route("/late", late)])
    """))  # fmt: skip
    with running(directory, "shop:app") as server:
        assert "GIL off, kept off" in server.output()
        server.wait_for("never", 1.2)
        assert ask(server, "/late?name=needsgil").status == 200
        server.wait_for("'needsgil' was imported while serving")
        assert "'needsgil' was imported while serving and asks for the GIL" in server.output()


def test_a_server_started_by_a_program_serves_the_lane_too(directory: Path) -> None:
    (directory / "shop.py").write_text(without_doubts())
    (directory / "main.py").write_text("import freelane, sys\nfreelane.serve('shop:app', port=int(sys.argv[1]))\n")
    from benchmarks.servers import free_port
    from compat_tests.servers import started

    port = free_port()
    with started([sys.executable, "main.py", str(port)], directory, port, " | ") as server:
        assert ask(server, "/r_global").body == b"42"
        assert len(pids(server)) == 1


def test_an_app_without_a_name_says_so(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(textwrap.dedent("""
        import freelane
        from starlette.applications import Starlette
        from starlette.routing import Route
        @freelane.gil
        async def marked(request): ...
        freelane.serve(Starlette(routes=[Route("/", marked)]), port=0)
    """))  # fmt: skip
    done = subprocess.run([sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, timeout=600,
                          env={**os.environ})  # fmt: skip
    assert "pass freelane.serve() a string such as 'module:app'" in done.stderr


@pytest.mark.parametrize("name", ["greenlet", "numpy", "pandas"])
def test_the_verdict_on_a_real_package_is_what_a_fresh_interpreter_shows(directory: Path, name: str) -> None:
    code = f"import sys, warnings; warnings.simplefilter('ignore'); import {name}; print(sys._is_gil_enabled())"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    turns_it_on = shown.stdout.strip() == "True"
    found = report(directory, f"""
        import {name}
        from starlette.applications import Starlette
        from starlette.routing import Route
        async def uses(request): return {name}.__version__
        async def other(request): return 1
        app = Starlette(routes=[Route("/uses", uses), Route("/other", other)])
    """)  # fmt: skip
    mine = [item for item in found.extensions if item.distribution == name]
    assert mine and all(item.version for item in mine)
    assert any(item.unsafe for item in mine) is turns_it_on
    assert bool(route(found, "/uses").chain) is turns_it_on
    assert route(found, "/other").chain is None


def test_numpy_and_pandas_work_in_the_lane(directory: Path) -> None:
    (directory / "shop.py").write_text(textwrap.dedent("""
        import freelane, numpy, pandas
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse
        from starlette.routing import Route
        @freelane.gil
        def table(request):
            frame = pandas.DataFrame({"a": numpy.arange(100_000), "b": numpy.arange(100_000) % 7})
            return JSONResponse(frame.groupby("b").a.sum().tolist())
        async def light(request): return JSONResponse(1)
        app = Starlette(routes=[Route("/table", table), Route("/light", light)])
    """))  # fmt: skip
    with running(directory, "shop:app", "--show-lanes") as server:
        answer = ask(server, "/table")
        assert answer.json == [sum(range(n, 100_000, 7)) for n in range(7)]
        assert answer.header("freelane-lane") == "gil"
        assert ask(server, "/light").header("freelane-gil") == "off"


def test_what_cannot_be_decided_keeps_the_app_together(directory: Path) -> None:
    with running(directory, "shop:app", "--show-lanes") as server:
        assert ask(server, "/r_global").body == ask(server, "/d_eval").body == b"42"
        assert ask(server, "/s_plain").header("freelane-gil") == "on"
        assert "/d_eval: d_eval calls eval" in server.output()
        assert pids(server) == []


def test_check_prints_the_tables_and_asks_for_a_person(directory: Path) -> None:
    done = subprocess.run([COMMAND[0], "check", "shop:app"], cwd=directory, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1
    assert "- the whole app is served with the GIL on: routes that need needsgil" in done.stdout
    assert "/d_eval: d_eval calls eval" in done.stdout
    assert done.stderr == ""
    (directory / "shop.py").write_text(without_doubts())
    done = subprocess.run([COMMAND[0], "check", "shop:app"], cwd=directory, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0
    assert "needsgil          -        turns the GIL on  its endpoints run in the gil lane" in done.stdout
    assert "shop.r_helper -> helper.far -> helper.near -> needsgil.answer -> needsgil" in done.stdout
    assert done.stderr == ""


def test_check_of_an_app_without_problems_is_0_and_json_can_be_read(directory: Path) -> None:
    (directory / "shop.py").write_text(textwrap.dedent("""
        import needsgil
        from starlette.applications import Starlette
        from starlette.routing import Route
        async def uses(request): return needsgil.answer()
        async def other(request): return 1
        app = Starlette(routes=[Route("/uses", uses), Route("/other", other)])
    """))  # fmt: skip
    command = [COMMAND[0], "check", "shop:app", "--json"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert {row["path"]: (row["lane"] == "gil", row["reason"]) for row in found["routes"]} == {
        "/uses": (True, "shop.uses -> needsgil"), "/other": (False, ""),
    }  # fmt: skip
    assert found["problems"] == []
    assert found["extensions"][0]["state"] == "turns the GIL on"


def test_check_of_an_app_that_cannot_be_imported(directory: Path) -> None:
    (directory / "shop.py").write_text("import nothing_of_that_name\n")
    done = subprocess.run([COMMAND[0], "check", "shop:app"], cwd=directory, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1
    assert "No module named 'nothing_of_that_name'" in done.stdout


KEPT = """
import json, os, needsgil
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
import storage
class Kept:
    opened = open  # the built-in function is no method
config = json.loads(Kept().opened("config.json").read())
salt = [open(path, "rb").read(1) for path in ("/dev/urandom", "/proc/uptime") if os.path.exists(path)]
def plain(): return 1
work = needsgil.answer if config["needs"] or "NEEDS" in os.environ else plain
def stored(request): return PlainTextResponse(str(storage.read()))
def worked(request): return PlainTextResponse(str(work()))
def lazy(request):
    import lazily
    return PlainTextResponse(str(lazily.read()))
routes = [Route("/stored", stored), Route("/worked", worked), Route("/lazy", lazy)]
app = Starlette(routes=routes)
"""
# Prints whether anything was followed, and the routes that need the GIL.
FOLLOWED = """
import json, sys
from freelane.gil_lane.detect.report import Inspection
from freelane.loader import load
from freelane.settings import Settings
inspection = Inspection(Settings())
report = inspection.report(load("shop:app", app_dir="."))
needing = [route.path for route in report.routes if route.chain]
print(json.dumps(["freelane.gil_lane.detect.call_graph" in sys.modules, needing, [item.name for item in report.unsafe]]))
"""


def test_nothing_is_followed_again_that_has_not_changed(extension: Path, tmp_path: Path) -> None:
    for file in extension.glob("needsgil.*.so"):
        shutil.copy(file, tmp_path)
    (tmp_path / "shop.py").write_text(KEPT)
    storage = "import needsgil\ndef read(): return {}\n"
    (tmp_path / "storage.py").write_text(storage.format("needsgil.answer()"))
    (tmp_path / "config.json").write_text('{"needs": false}')
    kept = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}

    def look(**environment: str) -> list[object]:
        done = subprocess.run([sys.executable, "-X", "gil=0", "-c", FOLLOWED], cwd=tmp_path, env={**kept, **environment},
                              capture_output=True, text=True, timeout=120)  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: list[object] = json.loads(done.stdout.splitlines()[-1])
        return found

    assert look() == [True, ["/stored"], ["needsgil"]]
    assert look() == [False, ["/stored"], ["needsgil"]]
    # The environment, a file that the import reads, and a module of the app's change what is found.
    assert look(NEEDS="1") == [True, ["/stored", "/worked"], ["needsgil"]]
    (tmp_path / "config.json").write_text('{"needs": true}')
    assert look() == [True, ["/stored", "/worked"], ["needsgil"]]
    (tmp_path / "storage.py").write_text(storage.format("1"))
    assert look() == [True, ["/worked"], ["needsgil"]]
    assert look() == [False, ["/worked"], ["needsgil"]]
    for text, needing in (
        ("import needsgil\ndef read(): return needsgil.answer()\n", ["/worked", "/lazy"]),
        ("read = int\n", ["/worked"]),
    ):
        (tmp_path / "lazily.py").write_text(text)
        assert look() == [True, needing, ["needsgil"]]
        assert look() == [False, needing, ["needsgil"]]
    for file in (tmp_path / "cache").rglob("reports-*/*"):
        file.write_text("{")
    assert look() == [True, ["/worked"], ["needsgil"]]
