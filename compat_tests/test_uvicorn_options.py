"""Every option of uvicorn's command, its variables and its ways of a start, on real starts."""

from __future__ import annotations

import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

from benchmarks.servers import free_port
from compat_tests.servers import COMMAND, running, started
from freelane.cli.run import commands
from freelane.discovery import find_target
from freelane.errors import ConfigError
from freelane.settings import Settings, documentation, flag, resolve
from freelane.settings.table import options
from freelane.settings.uvicorn import notes, spelled

uvicorn_main = pytest.importorskip("uvicorn.main").main
ROOT = Path(__file__).resolve().parents[1]

APP = """
import asyncio, os, logging, sys
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
async def home(request):
    return JSONResponse({"root_path": request.scope["root_path"], "client": request.scope["client"], "scheme": request.url.scheme,
        "secret": os.environ.get("SECRET"), "loop": type(asyncio.get_running_loop()).__module__})
waiting = asyncio.Event()
async def hold(request):
    print("HELD", flush=True)
    await waiting.wait()
    return PlainTextResponse("held")
async def release(request):
    waiting.set()
    return PlainTextResponse("released")
async def echo(websocket):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
app = Starlette(routes=[Route("/", home), Route("/hold", hold), Route("/release", release), WebSocketRoute("/ws", echo)])
def make(): return app
def wsgi(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"wsgi " + environ["PATH_INFO"].encode()]
class Two:
    def __init__(self, scope): self.scope = scope
    async def __call__(self, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"two"})
async def no_lifespan(scope, receive, send):
    assert scope["type"] == "http"
def loop():
    print("MY LOOP", flush=True)
    return asyncio.new_event_loop()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APP)
    return tmp_path


def uvicorn_options() -> list[click.Option]:
    return [param for param in uvicorn_main.params if isinstance(param, click.Option)]


def test_every_option_of_uvicorn_is_known() -> None:
    ours = {text: param for param in commands["run"].params for text in (*param.opts, *param.secondary_opts)}
    for option in uvicorn_options():
        if option.name == "version":
            assert "--version" in ours
            continue
        for text in (*option.opts, *option.secondary_opts):
            assert text in ours, f"uvicorn has {text}"
        mine: Any = ours[option.opts[0]]
        assert options()[mine.setting].uvicorn is not None, f"{option.opts[0]} stands in no table"
        assert mine.name == option.name, "its UVICORN_ variable has another name"
        assert mine.multiple == option.multiple
        # A switch there is a switch here; uvicorn's own --ws-per-message-deflate takes a value.
        assert mine.is_flag == option.is_flag, option.name


def test_what_uvicorn_has_not_stands_in_no_table_of_its_options() -> None:
    theirs = {option.opts[0] for option in uvicorn_options()}
    assert {flag(name) for name, known in options().items() if known.uvicorn is not None} <= theirs


@pytest.mark.parametrize("name", documentation.TABLES)
def test_tables_are_made_from_the_options(name: str) -> None:
    text = (ROOT / "migration_guide" / name).read_text()
    assert text == documentation.renewed(name, text), "run `python -m freelane.settings.documentation`"


INERT = {
    "loop": "uvloop", "timeout_worker_healthcheck": 9, "server_header": False, "date_header": False,
    "ssl_version": 5, "ssl_ciphers": "TLSv1", "http": "h11", "http2": True, "ws": "wsproto", "ws_max_queue": 9,
    "ws_per_message_deflate": False,
}  # fmt: skip


def test_what_does_nothing_says_why_on_a_real_start(directory: Path) -> None:
    assert INERT.keys() == {name for name, known in options().items() if known.inert}
    words = [word for name, value in INERT.items() for word in spelled(name, value).split()]
    with running(directory, "main:app", *words) as server:
        output = server.output()
        answer = server.get("/")
        # What no server of Granian's can leave out.
        assert (answer.status, answer.getheader("server")) == (200, "") and answer.getheader("date")
    for name, value in INERT.items():
        assert f"{spelled(name, value)} does nothing here: " in output, output
    assert notes(Settings(loop="asyncio", http="1", ws="none", ssl_cert_reqs=2)) == []


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's certificate, an authority, a client's by that authority, and one of a client that nobody knows."""
    found = tmp_path_factory.mktemp("certificates")
    (found / "extensions").write_text("basicConstraints=CA:FALSE\n")  # X.509 version 3, which rustls wants
    for line in (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout known.key -out known.csr -subj /CN=known",
        "x509 -req -in known.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out known.pem",
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout strange.key -out strange.pem -days 2 -subj /CN=strange",
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost "
        "-addext subjectAltName=IP:127.0.0.1",
    ):
        subprocess.run(["openssl", *line.split()], cwd=found, check=True, capture_output=True)
    return found


@pytest.mark.parametrize(
    ("required", "served"), [("0", ["none", "known", "strange"]), ("1", ["none", "known"]), ("2", ["known"])]
)
def test_client_certificates(directory: Path, certificates: Path, required: str, served: list[str]) -> None:
    def is_served(port: int, client: str) -> bool:
        context = ssl.create_default_context(cafile=str(certificates / "cert.pem"))
        if client != "none":
            context.load_cert_chain(certificates / f"{client}.pem", certificates / f"{client}.key")
        try:
            return httpx.get(f"https://127.0.0.1:{port}/release", verify=context).text == "released"
        except httpx.TransportError:
            return False

    options = [
        "--ssl-certfile",
        "cert.pem",
        "--ssl-keyfile",
        "key.pem",
        "--ssl-ca-certs",
        "ca.pem",
        "--ssl-cert-reqs",
        required,
    ]
    words = [str(certificates / word) if word.endswith(".pem") else word for word in options]
    with running(directory, "main:app", *words) as server:
        assert [client for client in ("none", "known", "strange") if is_served(server.port, client)] == served, server.output()


def test_certificates_that_nothing_can_check(directory: Path, certificates: Path) -> None:
    given: dict[str, Any] = {"ssl_certfile": str(certificates / "cert.pem"), "ssl_keyfile": str(certificates / "key.pem")}
    assert "no client is asked" in notes(Settings(**given, ssl_cert_reqs=1))[0]
    with pytest.raises(ConfigError, match="--ssl-cert-reqs 2 needs --ssl-ca-certs"):
        Settings(**given, ssl_cert_reqs=2)


FALLBACK = """
import sys
from freelane.cli.main import main
from freelane.server import granian
granian.contract = lambda: ["a name is gone"]
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("where", ["its own file", "the certificate's"])
def test_an_encrypted_key_through_granian_alone(directory: Path, certificates: Path, where: str) -> None:
    """Where Granian's private names have moved."""
    pytest.importorskip("cryptography")
    words = ["openssl", "pkcs8", "-topk8", "-in", "key.pem", "-out", str(directory / "key.pem"), "-passout", "pass:secret"]
    subprocess.run(words, cwd=certificates, check=True, capture_output=True)
    pem = (certificates / "cert.pem").read_text()
    own = where == "its own file"
    (directory / "cert.pem").write_text(pem if own else pem + (directory / "key.pem").read_text())
    (directory / "moved.py").write_text(FALLBACK)
    port = free_port()
    options = ["--ssl-certfile", "cert.pem", *(["--ssl-keyfile", "key.pem"] if own else []), "--ssl-keyfile-password", "secret"]
    command = [sys.executable, "moved.py", "run", "main:app", "--port", str(port), *options]
    with started(command, directory, port, "Listening at") as server:
        assert "a name is gone" in server.output()
        context = ssl.create_default_context(cafile=str(certificates / "cert.pem"))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        answer = None
        for _ in range(600):
            try:
                answer = httpx.get(f"https://127.0.0.1:{port}/release", verify=context)
                break
            except httpx.TransportError:
                assert server.process.poll() is None, server.output()
                time.sleep(0.1)
        assert answer is not None and answer.text == "released", server.output()
        assert server.stop() == 0


def test_limits_and_headers(directory: Path) -> None:
    (directory / "secrets.env").write_text("SECRET=from-the-file\nUVICORN_PORT=1\n")
    with running(
        directory, "main:make", "--factory", "--header", "X-One: 1", "--header", "Server:mine", "--root-path", "/shop",
        "--env-file", "secrets.env", "--lifespan", "on", "--limit-concurrency", "1", "--ws-max-size", "4", "--access-log",
        "--loop", "main:loop", "--forwarded-allow-ips", "*", "--backlog", "77", "--reset-contextvars", "--use-colors",
        "--timeout-keep-alive", "3", "--h11-max-incomplete-event-size", "9000", "--ws-ping-interval", "5",
        "--ws-ping-timeout", "5.5", "--timeout-graceful-shutdown", "7", "--health-path", "/healthz",
    ) as server:  # fmt: skip
        url = f"http://127.0.0.1:{server.port}"
        answer = httpx.get(url, headers={"x-forwarded-for": "9.8.7.6", "x-forwarded-proto": "https"})
        said = answer.json()
        assert (answer.headers["x-one"], answer.headers["server"]) == ("1", "mine")
        assert (said["root_path"], said["client"], said["scheme"]) == ("/shop", ["9.8.7.6", 0], "https")
        assert said["secret"] == "from-the-file" and "MY LOOP" in server.output()
        assert listening_backlog(server.port) in (77, None)
        with httpx.stream("GET", url + "/", headers={"x-a": "b" * 20_000}) as long:
            assert long.status_code == 431
        with socket.create_connection(("127.0.0.1", server.port)) as held:
            held.sendall(b"GET /hold HTTP/1.1\r\nhost: a\r\n\r\n")
            server.wait_for("HELD")
            busy = httpx.get(url)
            assert (busy.status_code, busy.headers["x-one"], busy.headers["server"]) == (503, "1", "mine")
            assert httpx.get(url + "/healthz").text == "ok"
            held.shutdown(socket.SHUT_RDWR)
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as idle:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
            while chunk := idle.recv(65536):  # until the server ends it
                last = chunk
            assert last
    assert '"\x1b[1mGET /shop/ HTTP/1.1\x1b[0m" \x1b[32m200 OK\x1b[0m' in server.output()


def listening_backlog(port: int) -> int | None:
    """What ``ss`` says of a listening socket; None where there is no ``ss``."""
    try:
        said = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True).stdout.split()
    except FileNotFoundError:
        return None
    return int(said[2]) if len(said) > 2 else None


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["main:wsgi", "--interface", "wsgi"], "/a", b"wsgi /a"),
        (["main:Two"], "/", b"two"),
        (["main:Two", "--interface", "asgi2"], "/", b"two"),
        (["main:make"], "/release", b"released"),
        (["main.py"], "/release", b"released"),
    ],
)
def test_apps_of_other_kinds(directory: Path, arguments: list[str], path: str, body: bytes) -> None:
    with running(directory, *arguments) as server:
        assert server.get(path).read() == body


def test_no_request_at_once(directory: Path) -> None:
    with running(directory, "main:app", "--limit-concurrency", "0") as server:
        assert server.get("/").status == 503


def test_connections_that_are_not_kept(directory: Path) -> None:
    with (
        running(directory, "main:app", "--timeout-keep-alive", "0") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=120) as client,
    ):
        client.sendall(b"GET /release HTTP/1.1\r\nhost: a\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))  # until the server ends it
        assert answer.endswith(b"released")


def test_lifespan_on_fails_an_app_without_one(directory: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "main:no_lifespan", "--lifespan", "on", "--port", "0"], cwd=directory, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3 and "AssertionError" in done.stderr


def test_no_websockets(directory: Path) -> None:
    with (
        running(directory, "main:app", "--ws", "none") as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        client.sendall(
            b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert b" 101 " not in client.recv(4096)


def test_unix_socket_is_for_everybody_and_trusted_by_its_path(directory: Path) -> None:
    path = str(directory / "sock")
    with running(directory, "main:app", "--forwarded-allow-ips", path, uds=path):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o666
        with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
            assert client.get("http://a/", headers={"x-forwarded-for": "1.2.3.4"}).json()["client"][0] == "1.2.3.4"


@pytest.mark.parametrize("way", ["--fd", "LISTEN_FDS"])
def test_a_socket_that_is_passed(directory: Path, way: str) -> None:
    program = (
        "import os, sys\nos.dup2(int(sys.argv[1]), 3)\n"
        "if sys.argv[2] == 'LISTEN_FDS': os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
        "os.execv(sys.argv[3], sys.argv[3:])"
    )
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        fd, port = sock.fileno(), sock.getsockname()[1]
        os.set_inheritable(fd, True)
        more = ["--fd", "3"] if way == "--fd" else []
        # `started` closes what it does not know.
        command = ["sh", "-c", f'exec {sys.executable} -c "$0" "$@"', program, str(fd), way, *COMMAND, "main:app", *more]
        log = directory / "log"
        with log.open("w") as output:
            process = subprocess.Popen(command, cwd=directory, pass_fds=[fd], stdout=output, stderr=subprocess.STDOUT)
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/release", timeout=180) if ready(log, process) else None
            assert answer is not None and answer.text == "released", log.read_text()
        finally:
            process.kill()
            process.wait()


def ready(log: Path, process: subprocess.Popen[Any]) -> bool:
    while " | " not in log.read_text():
        if process.poll() is not None:
            return False
        time.sleep(0.05)
    return True


def test_variables_of_uvicorn_and_of_deployments(tmp_path: Path) -> None:
    environ = {
        "UVICORN_HOST": "::1", "WEB_CONCURRENCY": "3", "PORT": "81", "FORWARDED_ALLOW_IPS": "*", "UVICORN_HEADERS": "A:1 B:2",
        "UVICORN_RELOAD_DIRS": f"a{os.pathsep}b", "UVICORN_ACCESS_LOG": "false", "UVICORN_LOG_LEVEL": "debug",
        "FREELANE_LOG_LEVEL": "error",
    }  # fmt: skip
    settings = resolve({}, environ, tmp_path)
    assert (settings.host, settings.workers, settings.port, settings.forwarded_allow_ips) == ("::1", 3, 81, "*")
    assert (settings.headers, settings.reload_dirs, settings.log_level) == (["A:1", "B:2"], ["a", "b"], "error")
    assert resolve({"workers": 1}, environ | {"UVICORN_WORKERS": "2", "UVICORN_PORT": "82"}, tmp_path).workers == 1
    assert resolve({}, environ | {"UVICORN_WORKERS": "2", "UVICORN_PORT": "82"}, tmp_path).port == 82


@pytest.mark.parametrize(
    ("files", "environ", "target"),
    [
        ({"main.py": "app = 1"}, {}, "main.py:app"),
        ({"app.py": "import fastapi\nshop = fastapi.FastAPI()"}, {}, "app.py:shop"),
        ({"api.py": "from x import api"}, {}, "api.py:api"),
        ({"app/main.py": "async def app(scope, receive, send): ..."}, {}, "app/main.py:app"),
        ({"main.py": "app = 1", "pyproject.toml": '[tool.fastapi]\nentrypoint = "shop.web:app"'}, {}, "shop.web:app"),
        ({"main.py": "app = 1"}, {"UVICORN_APP": "other:app"}, "other:app"),
        ({"main.py": "def ("}, {}, "main.py:app"),
    ],
)
def test_an_app_that_nobody_names(tmp_path: Path, files: dict[str, str], environ: dict[str, str], target: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert find_target(environ, tmp_path)[0] == target


def test_nothing_is_found(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="main.py, app.py"):
        find_target({}, tmp_path)
    (tmp_path / "main.py").write_text("x = 1")
    with pytest.raises(ConfigError, match="main.py:NAME"):
        find_target({}, tmp_path)


def test_a_start_without_a_target_says_what_it_took(directory: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "freelane", "run", "--port", str(port)]
    with started(command, directory, port, " | ") as server:
        assert "serving main.py:app, found in main.py" in server.output()
        assert server.get("/release").read() == b"released"


CONFIG = {
    "version": 1, "disable_existing_loggers": False,
    "formatters": {
        "default": {"()": "uvicorn.logging.DefaultFormatter", "fmt": "MINE %(levelprefix)s %(message)s", "use_colors": False},
        "access": {"()": "uvicorn.logging.AccessFormatter", "fmt": "ACCESS %(client_addr)s %(request_line)s %(status_code)s",
                   "use_colors": False},
    },
    "handlers": {
        "default": {"formatter": "default", "class": "logging.StreamHandler"},
        "access": {"formatter": "access", "class": "logging.StreamHandler"},
    },
    "loggers": {
        "uvicorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"level": "INFO"},
        "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}  # fmt: skip
INI = """[loggers]
keys=root, access
[handlers]
keys=all
[formatters]
keys=all
[logger_root]
level=INFO
handlers=all
[logger_access]
level=INFO
handlers=all
qualname=uvicorn.access
propagate=0
[handler_all]
class=StreamHandler
formatter=all
args=(sys.stderr,)
[formatter_all]
format=ACCESS %(name)s %(message)s
"""


@pytest.mark.parametrize("kind", ["json", "yaml", "ini"])
def test_log_configurations_written_for_uvicorn(directory: Path, kind: str) -> None:
    if kind == "yaml":
        pytest.importorskip("yaml")
    (directory / f"log.{kind}").write_text(INI if kind == "ini" else json.dumps(CONFIG))
    with running(directory, "main:app", "--access-log", "--log-config", f"log.{kind}", "--http", "h11") as server:
        server.get("/release").read()
        assert server.stop() == 0
    output = server.output()
    if kind == "ini":
        assert "ACCESS uvicorn.access 127.0.0.1:" in output and "ACCESS uvicorn.error --http h11 does nothing" in output
    else:
        assert "GET /release HTTP/1.1 200 OK" in output.split("ACCESS 127.0.0.1:")[1]
        assert "MINE WARNING:  --http h11 does nothing" in output


def test_json_lines_and_a_format_of_ones_own(directory: Path) -> None:
    with running(directory, "main:app", "--access-log", "--log-format", "json", "--http", "h11") as server:
        server.get("/release?a=%20").read()
        assert server.stop() == 0
    lines = [json.loads(line) for line in server.output().splitlines() if line.startswith("{")]
    assert any(line.get("message", "").startswith("--http h11") and line["level"] == "warning" for line in lines)
    (line,) = [line for line in lines if line["logger"] == "uvicorn.access"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/release?a=%20", 200)
    assert (line["lane"], line["bytes"], line["request_id"]) == ("loop", 8, None) and 0 < line["duration"] < 600
    with running(directory, "main:app", "--access-log", "--access-log-format", "<%(method)s %(status)s>") as server:
        server.get("/release").read()
        assert server.stop() == 0
    assert "<GET 200>" in server.output()


KEYS = {
    "PKCS#1": "openssl genrsa -traditional -out key.pem 2048",
    "SEC1, in the certificate's file": "openssl ecparam -name prime256v1 -genkey -noout -out key.pem",
    "PKCS#1, encrypted": "openssl genrsa -traditional -aes256 -passout pass:secret -out key.pem 2048",
    "PKCS#8, encrypted": "openssl genpkey -algorithm RSA -aes256 -pass pass:secret -out key.pem",
    "PKCS#8, a password that nothing needs": "openssl genpkey -algorithm RSA -out key.pem",
}


@pytest.mark.parametrize("kind", KEYS)
def test_private_keys_of_every_usual_form(directory: Path, kind: str) -> None:
    if "encrypted" in kind:
        pytest.importorskip("cryptography")
    password = ["-passin", "pass:secret"] if "encrypted" in kind else []
    for words in (
        KEYS[kind].split(),
        ["openssl", "req", "-x509", "-new", "-key", "key.pem", *password, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-out", "cert.pem"],
    ):  # fmt: skip
        subprocess.run(words, cwd=directory, check=True, capture_output=True)
    options = ["--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem"]
    if "password" in kind or password:
        options += ["--ssl-keyfile-password", "secret"]
    if "certificate" in kind:
        with (directory / "cert.pem").open("a") as file:
            file.write((directory / "key.pem").read_text())
        options = options[:2]
    with running(directory, "main:app", *options) as server:
        context = ssl.create_default_context(cafile=str(directory / "cert.pem"))
        answer = httpx.get(f"https://127.0.0.1:{server.port}/release", verify=context)
        assert answer.text == "released", server.output()


def test_an_encrypted_key_that_nothing_here_reads(directory: Path) -> None:
    """Granian would abort."""
    for words in (
        KEYS["PKCS#8, encrypted"].split(),
        "openssl req -x509 -new -key key.pem -passin pass:secret -subj /CN=localhost -out cert.pem".split(),
    ):
        subprocess.run(words, cwd=directory, check=True, capture_output=True)
    hidden = directory / "hidden"
    (hidden / "cryptography").mkdir(parents=True)
    (hidden / "cryptography" / "__init__.py").write_text("raise ImportError")
    done = command(
        "run", "main:app", "--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem", "--ssl-keyfile-password", "secret",
        cwd=directory, env={**os.environ, "PYTHONPATH": str(hidden)},
    )  # fmt: skip
    assert done.returncode == 2 and "openssl pkcs8 -topk8 -nocrypt -in key.pem" in done.stderr


def command(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND[0], *arguments], capture_output=True, text=True, timeout=600, **more)


def test_the_command_helps(directory: Path) -> None:
    done = command()
    assert done.returncode == 0 and "Commands:" in done.stdout
    done = command("run", "--help")
    assert done.returncode == 0 and len(done.stdout.splitlines()) <= 40 and "--help-all" in done.stdout
    done = command("run", "--help-all")
    assert all(flag(name).removeprefix("--") in done.stdout for name in options())
    done = command("run", "--version")
    assert done.returncode == 0 and done.stdout.startswith("freelane ")
    done = command("rum", cwd=directory)
    assert done.returncode == 2 and "did you mean 'run'" in done.stderr
    done = command("run", "main:app", "--relod", cwd=directory)
    assert done.returncode == 2 and "--reload" in done.stderr
    done = command("run", "main:app", "--transport", "rsgj", cwd=directory)
    assert done.returncode == 2 and "did you mean 'rsgi'" in done.stderr
    done = command("routes", cwd=directory)
    assert done.returncode == 0 and "/hold" in done.stdout


def test_the_shell_completes(directory: Path) -> None:
    assert "_FREELANE_COMPLETE=bash_complete" in command("completion", "bash").stdout
    for words, at, expected in (("freelane ", "1", "check"), ("freelane run --trans", "2", "--transport"),
                                ("freelane run --transport r", "3", "rsgi")):  # fmt: skip
        environ = {**os.environ, "_FREELANE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": at}
        assert expected in command(env=environ, cwd=directory).stdout
