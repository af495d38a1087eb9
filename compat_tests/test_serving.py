"""What only a real server shows: slow clients, cut responses, the GIL, other ways to be served."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

from benchmarks.servers import free_port
from compat_tests.gil_servers import wait_until
from compat_tests.servers import running, started
from freelane.gil_lane.gil_watch import free_threaded

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = """
import asyncio, contextlib, importlib, sys
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

sent = 0
async def plenty(request):
    async def chunks():
        global sent
        for _ in range(2000):
            yield b"x" * 100_000
            sent += 100_000
    return StreamingResponse(chunks())
async def progress(request): return PlainTextResponse(str(sent))
async def broken(request):
    async def chunks():
        yield b"first"
        await asyncio.sleep(0.2)
        raise ValueError("half-way")
    return StreamingResponse(chunks())
def fails(request): raise ValueError("endpoint")
async def background(request): return PlainTextResponse("x", background=BackgroundTask(print, "AFTER", flush=True))
def old(request):
    import oldstyle
    return PlainTextResponse(oldstyle.__name__)
def number(): return 1_234_567
async def refcount(request): return PlainTextResponse(str(sys.getrefcount(number.__code__.co_consts[-1])))
@contextlib.asynccontextmanager
async def lifespan(app):
    print("UP", flush=True)
    yield
    print("DOWN", flush=True)
names = ["plenty", "progress", "broken", "fails", "background", "old", "refcount"]
app = Starlette(routes=[Route("/" + name, globals()[name]) for name in names], lifespan=lifespan)

import freelane
wrapped = freelane.wrap(app)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="reads SIOCOUTQ of the client's socket")
@pytest.mark.parametrize("transport", ["rsgi", "asgi"])
def test_a_slow_client_slows_the_sender_down(directory: Path, transport: str) -> None:
    with running(directory, "shop:app", "--transport", transport) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
            client.sendall(b"GET /plenty HTTP/1.1\r\nhost: a\r\n\r\n")
            before, now = -1, 0
            while now != before or not now:
                time.sleep(1)
                before, now = now, int(server.get("/progress").read())
            assert before < 100_000_000  # of 200 MB: what the kernel and one window of ours hold
            received = 0
            while received < 100_000_000:
                received += len(client.recv(1 << 20))
        assert int(server.get("/progress").read()) >= 90_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="finds the client's socket in /proc")
@pytest.mark.parametrize("transport", ["rsgi", "asgi"])
def test_a_response_that_fails_half_way_does_not_look_whole(directory: Path, transport: str) -> None:
    with running(directory, "shop:app", "--transport", transport) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
            client.sendall(b"GET /broken HTTP/1.1\r\nhost: a\r\n\r\n")
            data = b""
            try:
                while chunk := client.recv(65536):
                    data += chunk
            except ConnectionResetError:
                pass
        assert b"first" in data
        assert not data.endswith(b"0\r\n\r\n")
        assert "half-way" in server.output()


WAITS = """
import threading
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
released = threading.Event()
def waits(request):
    print("WAITS", flush=True)
    released.wait()
    return PlainTextResponse("waited")
async def light(request): return PlainTextResponse("light")
async def release(request):
    released.set()
    return PlainTextResponse("")
async def again(request):
    released.clear()
    return PlainTextResponse("")
app = Starlette(routes=[Route("/" + f.__name__, f) for f in (waits, light, release, again)])
"""


def test_endpoints_that_wait_hold_up_no_other(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(WAITS)
    with running(tmp_path, "shop:app") as server, ThreadPoolExecutor(20) as pool:
        # The second wave finds the slots that the first one made.
        for wave in (1, 2):
            server.get("/again")
            waves = [pool.submit(lambda: server.get("/waits").read()) for _ in range(20)]
            wait_until(lambda: server.output().count("WAITS") == 20 * wave)
            assert server.get("/light").read() == b"light"
            server.get("/release")
            assert [wave.result() for wave in waves] == [b"waited"] * 20


CHAT = """
import threading
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
sockets = []
async def chat(websocket):
    await websocket.accept()
    sockets.append(websocket)
    await websocket.send_text(threading.current_thread().name)
    async for text in websocket.iter_text():
        for socket in sockets:
            await socket.send_text(text)
app = Starlette(routes=[WebSocketRoute("/chat", chat)])
"""


def test_a_message_reaches_the_sockets_of_every_loop(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(CHAT)
    with running(tmp_path, "shop:app", "--loops", "2") as server, contextlib.ExitStack() as stack:
        clients: list[ClientConnection] = []
        loops: set[str | bytes] = set()
        while len(loops) < 2 and len(clients) < 100:
            clients.append(stack.enter_context(connect(f"ws://127.0.0.1:{server.port}/chat")))
            loops.add(clients[-1].recv(10))
        assert len(loops) == 2
        for sender in clients[:2]:
            sender.send("hello")
            assert [client.recv(10) for client in clients] == ["hello"] * len(clients)


THREADS = """
import contextlib, os, sqlite3, threading
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

@contextlib.asynccontextmanager
async def lifespan(app):
    database = sqlite3.connect(":memory:")
    where = f"{os.getpid()} {threading.get_ident()}"
    yield {"database": database, "where": where}
    print("CLOSED" if where == f"{os.getpid()} {threading.get_ident()}" else "ELSEWHERE", flush=True)
    database.close()
async def ask(request):
    # sqlite3 refuses a connection on any thread but the one that made it.
    one = request.state.database.execute("select 1").fetchone()
    return JSONResponse([*one, request.state.where, f"{os.getpid()} {threading.get_ident()}"])
app = Starlette(routes=[Route("/", ask)], lifespan=lifespan)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_lifespan_shares_the_thread_of_its_requests(tmp_path: Path, workers: int) -> None:
    (tmp_path / "shop.py").write_text(THREADS)
    with running(tmp_path, "shop:app", "--loops", str(workers)) as server:
        seen = set()
        for _ in range(200):
            one, started, here = json.loads(server.get("/").read())
            assert one == 1 and started == here
            seen.add(here)
            if len(seen) == workers:
                break
        assert len(seen) == workers
        assert server.stop() == 0
        assert server.output().count("CLOSED") == workers and "ELSEWHERE" not in server.output()


def build_old_extension(directory: Path) -> None:
    """A C extension that says nothing of free threading (no ``Py_mod_gil`` slot)."""
    source = directory / "oldstyle.c"
    source.write_text(
        "#include <Python.h>\n"
        'static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "oldstyle", NULL, -1, NULL};\n'
        "PyMODINIT_FUNC PyInit_oldstyle(void) { return PyModule_Create(&module); }\n"
    )
    target = directory / f"oldstyle{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_path("include")
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(target)], check=True, timeout=60)


@pytest.mark.skipif(not free_threaded(), reason="there is no GIL to turn on")
def test_the_module_that_turns_the_gil_on_is_named(directory: Path) -> None:
    build_old_extension(directory)
    with running(directory, "shop:app", "--gil-auto", "off") as server:
        assert "| GIL off |" in server.output()
        assert server.get("/old").read() == b"oldstyle"
        server.wait_for("importing 'oldstyle' turned it on", 10)
        assert server.output().count("importing 'oldstyle' turned it on") == 1
    (directory / "shop.py").write_text("import oldstyle\n" + APP)
    with running(directory, "shop:app", "--gil-auto", "off") as server:
        assert "| GIL ON: 'oldstyle' turned it on |" in server.output()


@pytest.mark.skipif(not free_threaded(), reason="threads take turns")
def test_constants_of_a_module_without_pyc_are_not_counted(directory: Path) -> None:
    with running(directory, "shop:app") as server:
        assert int(server.get("/refcount").read()) >= 2**31  # immortal


def test_stock_granian_serves_what_wrap_returns(directory: Path) -> None:
    port = free_port()
    granian = str(Path(sys.executable).parent / "granian")
    command = [granian, "--interface", "rsgi", "--port", str(port), "shop:wrapped"]
    with started(command, directory, port, "runtime-1") as server:
        server.wait_for("UP")
        assert len(server.get("/plenty").read()) == 200_000_000
        assert server.get("/fails").status == 500
        assert server.get("/background").read() == b"x"
        server.wait_for("AFTER")
        server.stop()
        assert "DOWN" in server.output()
        assert "ValueError: endpoint" in server.output()


def test_an_unknown_granian_is_used_through_its_public_api(directory: Path) -> None:
    port = free_port()
    script = (
        "import sys; from freelane.cli import main as cli; from freelane.server import granian; granian.NAMES['Renamed'] = ();"
        f"sys.exit(cli.main(['run', 'shop:app', '--port', '{port}']))"
    )
    with started([sys.executable, "-c", script], directory, port, "runtime-1") as server:
        server.wait_for("UP")
        assert server.get("/background").read() == b"x"
        assert server.stop() == 0
        assert server.output().count("granian._granian.Renamed is gone") == 1
        assert "DOWN" in server.output()


def test_an_app_is_served_from_its_own_script(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "script.py").write_text(f"""
import freelane

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"from the script"}})

raise SystemExit(freelane.serve(app, port={port}))
""")
    with started([sys.executable, "script.py"], tmp_path, port, " | ") as server:
        assert server.get("/").read() == b"from the script"
        assert server.stop() == 0
