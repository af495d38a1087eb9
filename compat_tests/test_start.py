"""From the command to the first answer: the app is imported once, with the GIL kept off until it is known."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from compat_tests.servers import COMMAND, running
from freelane.gil_lane.gil_watch import free_threaded

pytestmark = pytest.mark.thread_unsafe(reason="starts processes")
free_threaded_only = pytest.mark.skipif(not free_threaded(), reason="the GIL is on in any case")

PLAIN = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"].endswith("shutdown"):
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(answer()).encode()})
"""


def write(directory: Path, text: str, app: str = PLAIN) -> None:
    (directory / "shop.py").write_text(textwrap.dedent(text) + app)


def test_an_app_is_imported_once(tmp_path: Path) -> None:
    write(tmp_path, """
        import os, sys, threading
        os.close(os.open("lock", os.O_CREAT | os.O_EXCL))
        with open("imports", "a") as file:
            file.write("x")
        started = threading.Thread(target=lambda: None)
        started.start()
        main = sys.modules["__main__"].__name__, sys.argv[1:2]
        def answer(): return open("imports").read(), main
    """)  # fmt: skip
    with running(tmp_path, "shop:app") as server:
        assert server.get("/").read() == b"('x', ('__main__', ['run']))"


@free_threaded_only
def test_an_app_that_needs_the_gil_is_imported_once(extension: Path, tmp_path: Path) -> None:
    for file in extension.glob("needsgil.*.so"):
        shutil.copy(file, tmp_path)
    write(tmp_path, """
        import os, needsgil
        os.close(os.open(f"lock-{os.environ.get('FREELANE_TEST_LANE', os.getpid() and 'main')}", os.O_CREAT | os.O_APPEND))
        with open("imports", "a") as file:
            file.write(f"{os.getppid()} ")
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route
        async def gil(request): return PlainTextResponse(str(needsgil.answer()))
        async def free(request): return PlainTextResponse(open("imports").read())
        app = Starlette(routes=[Route("/gil", gil), Route("/free", free)])
    """, "")  # fmt: skip
    with running(tmp_path, "shop:app") as server:
        assert server.get("/gil").read() == b"42"
        parents = server.get("/free").read().split()
        # The server's own import, and that of the gil lane's one process.
        assert len(parents) <= 2
        assert parents.count(str(server.process.pid).encode()) == len(parents) - 1


@free_threaded_only
def test_what_asks_for_the_gil_later_has_it_where_no_lane_serves_it(extension: Path, tmp_path: Path) -> None:
    for file in extension.glob("needsgil.*.so"):
        shutil.copy(file, tmp_path)
    write(tmp_path, """
        import sys
        def answer():
            before = sys._is_gil_enabled()
            __builtins__["__import__"]("needs" + "gil")
            return before, sys._is_gil_enabled()
    """)  # fmt: skip
    with running(tmp_path, "shop:app") as server:
        assert server.get("/").read() == b"(False, True)"


@free_threaded_only
def test_a_function_that_would_import_such_an_extension_is_found_and_nothing_is_imported(
    extension: Path, tmp_path: Path
) -> None:
    for file in extension.glob("needsgil.*.so"):
        shutil.copy(file, tmp_path)
    (tmp_path / "between.py").write_text("import needsgil\nraise SystemExit('imported')\n")
    write(tmp_path, """
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route
        async def later(request):
            import between
        async def free(request): return PlainTextResponse("1")
        app = Starlette(routes=[Route("/later", later), Route("/free", free)])
    """, "")  # fmt: skip
    with running(tmp_path, "shop:app", "--show-lanes") as server:
        assert server.get("/free").getheader("freelane-lane") == "loop"
        assert "/later is in the gil lane: shop.later -> between -> needsgil." in server.output()


def test_a_start_imports_nothing_that_the_app_does_not(tmp_path: Path) -> None:
    write(tmp_path, """
        import sys
        def answer(): return sorted({name.partition(".")[0] for name in sys.modules})
    """)  # fmt: skip
    with running(tmp_path, "shop:app") as server:
        there = server.get("/").read().decode()
    assert [name for name in HEAVY if repr(name) in there] == []


HEAVY = ("starlette", "fastapi", "pydantic", "opentelemetry", "multipart", "python_multipart", "mcp", "httpx", "anyio")


def test_check_says_what_it_would_say(tmp_path: Path) -> None:
    write(tmp_path, "def answer(): return 1\n")
    done = subprocess.run([COMMAND[0], "check", "shop:app"], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, ""), sys.executable


PHASES = {
    "import": "time.sleep(60)",
    "a caught import": "import contextlib\nwith contextlib.suppress(BaseException): time.sleep(60)\ntime.sleep(60)",
    "lifespan": "",
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_obeyed_in_every_phase_of_a_start(tmp_path: Path, phase: str, number: int) -> None:
    (tmp_path / "shop.py").write_text(
        "import atexit, time\natexit.register(open, 'ended', 'w')\nopen('begun', 'w').close()\n" + PHASES[phase] + """
import asyncio
async def app(scope, receive, send):
    await receive()
    await asyncio.sleep(60)
""")  # fmt: skip
    process = subprocess.Popen([*COMMAND, "shop:app", "--port", "0"], cwd=tmp_path, text=True, stderr=subprocess.PIPE)
    try:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
            time.sleep(0.02)
        if phase == "lifespan":
            time.sleep(0.5)
        process.send_signal(number)
        process.wait(30)
    finally:
        process.kill()
        _, said = process.communicate()
    assert "Traceback" not in said
    assert (tmp_path / "ended").exists() or phase == "a caught import"
