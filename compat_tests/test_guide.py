"""The guide's commands, as they stand there and in their order; its links; its configuration of nginx with a real nginx."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks.servers import free_port
from compat_tests.servers import COMMAND, Server, running, started
from compat_tests.test_operation import upgrade

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

GUIDE = Path(__file__).resolve().parents[1] / "migration_guide"
PAGES = ("start.md", "threads.md", "live.md")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")

APP = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
async def home(request): return JSONResponse({"scheme": request.url.scheme, "client": request.client.host})
def item(request): return JSONResponse({"id": request.path_params["id"]})
async def talk(websocket):
    await websocket.accept()
    await websocket.receive_text()
app = Starlette(routes=[Route("/", home), Route("/items/{id}", item), WebSocketRoute("/ws", talk)])
"""


def blocks(page: str, kind: str) -> list[str]:
    return [text for found, text in FENCE.findall((GUIDE / page).read_text()) if found == kind]


class Reader:
    """Does what a page says: a server runs until the next one is started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stack = ExitStack()
        self.server: Server | None = None

    def follow(self, line: str) -> None:
        words = shlex.split(line)
        assert words[0] == "freelane", f"no test knows how to run '{line}'"
        if words[1] in ("run", "dev"):
            self.serve(words[2:])
            return
        command = [COMMAND[0], *words[1:]]
        done = subprocess.run(
            command, cwd=self.directory, text=True, timeout=600, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}"

    def serve(self, words: list[str]) -> None:
        self.stop()
        port = free_port()
        if "--migration-page" in words:
            words[words.index("--migration-page") + 1] = str(free_port())
        self.server = self.stack.enter_context(started([*COMMAND, *words, "--port", str(port)], self.directory, port, " | "))
        assert self.server.get("/").status == 200, self.server.output()
        assert "Traceback" not in self.server.output()

    def stop(self) -> None:
        if self.server is not None:
            assert self.server.stop() == 0, self.server.output()
        self.server = None
        self.stack.close()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    for name in ("shop", "old", "new"):
        (tmp_path / f"{name}.py").write_text(APP)
    made = Reader(tmp_path)
    try:
        yield made
    finally:
        made.stack.close()


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(reader: Reader, page: str) -> None:
    count = 0
    for kind, text in FENCE.findall((GUIDE / page).read_text()):
        if kind == "toml":
            tomllib.loads(text)
            (reader.directory / "pyproject.toml").write_text(text)
        elif kind == "sh":
            for line in text.splitlines():
                if "http://127.0.0.1:9000" in line or "[migration]" in line:
                    pytest.importorskip("aiohttp")
                reader.follow(line)
                count += 1
    assert count > 1
    reader.stop()


def test_links_lead_somewhere() -> None:
    for page in GUIDE.glob("*.md"):
        for target in LINK.findall(page.read_text()):
            assert "://" in target or (GUIDE / target).exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_guides_order() -> None:
    listed = set(LINK.findall((GUIDE / "README.md").read_text()))
    assert {page.name for page in GUIDE.glob("*.md")} - {"README.md"} == listed


def program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")


@contextmanager
def behind(nginx: str, place: Path, text: str, port: int) -> Iterator[Server]:
    """A real nginx with the guide's lines."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{name}_temp_path {place}/{name};\n" for name in kinds)
    user = "user root;\n" if os.geteuid() == 0 else ""
    conf = place / "nginx.conf"
    conf.write_text(
        f"{user}daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log stderr notice;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{places}{text}}}\n"
    )
    with started([nginx, "-e", "stderr", "-p", str(place), "-c", str(conf)], place, port, "notice") as front:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield front


def test_nginx_stands_in_front_as_configured(tmp_path: Path) -> None:
    nginx = program("nginx")
    if nginx is None:
        pytest.skip("no nginx here (Debian: apt-get install nginx-light)")
    (tmp_path / "shop.py").write_text(APP)
    (text,) = blocks("deploy.md", "nginx")
    port = free_port()
    with running(tmp_path, "shop:app") as server:
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}").replace("127.0.0.1:8080", f"127.0.0.1:{port}")
        assert str(port) in text and str(server.port) in text
        place = tmp_path / "nginx"
        place.mkdir()
        with behind(nginx, place, text, port) as front:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            for _ in range(3):
                connection.request("GET", "/", headers={"X-Forwarded-For": "6.6.6.6"})
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (200, b'{"scheme":"http","client":"127.0.0.1"}'), front.output()
            with upgrade(port):
                pass
        assert server.stop() == 0


STATE = """
import os
@app.get("/count")
def count(request):
    return {"count": app.state.incr("hits"), "server": os.environ["FREELANE_TEST_SERVER"]}
"""


def test_two_servers_share_a_state_in_redis_behind_nginx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redis, nginx = program("redis-server"), program("nginx")
    if redis is None or nginx is None:
        pytest.skip("no redis-server or nginx here (Debian: apt-get install redis-server nginx-light)")
    pytest.importorskip("redis")
    port, front_port = free_port(), free_port()
    (text,) = blocks("deploy.md", "python")
    assert "127.0.0.1:6379" in text
    with ExitStack() as stack:
        folders = [tmp_path / name for name in ("redis", "one", "two", "front")]
        for folder in folders:
            folder.mkdir()
        command = [redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folders[0])]
        stack.enter_context(started(command, folders[0], port, "Ready to accept"))
        servers = []
        for folder in folders[1:3]:
            (folder / "shop.py").write_text(text.replace("127.0.0.1:6379", f"127.0.0.1:{port}") + STATE)
            monkeypatch.setenv("FREELANE_TEST_SERVER", folder.name)
            servers.append(stack.enter_context(running(folder, "shop:app")))
        (conf,) = blocks("deploy.md", "nginx")
        both = "\n".join(f"    server 127.0.0.1:{server.port};" for server in servers)
        conf = conf.replace("    server 127.0.0.1:8000;", both).replace("127.0.0.1:8080", f"127.0.0.1:{front_port}")
        stack.enter_context(behind(nginx, folders[3], conf, front_port))
        connection = http.client.HTTPConnection("127.0.0.1", front_port, timeout=120)
        found = []
        for _ in range(10):
            connection.request("GET", "/count")
            answer = json.loads(connection.getresponse().read())
            found.append(answer)
        assert [answer["count"] for answer in found] == list(range(1, 11))
        assert {answer["server"] for answer in found} == {"one", "two"}
