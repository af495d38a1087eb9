"""Two apps that are served together: copies, shares, paths, and what happens to a request while any of it changes."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import free_port
from compat_tests.servers import COMMAND, Server, running

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

# What both apps have; each says who it is, and where a file of this name is, it does not answer.
COMMON = """
import asyncio, json, os, sys, time
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

def make(name, price, headers):
    @asynccontextmanager
    async def lifespan(app):
        print(f"{name} begins", flush=True)
        yield {"who": name}
        await asyncio.sleep(0.05)
        print(f"{name} ended", flush=True)

    async def who(request): return PlainTextResponse(request.state.who, headers={"x-pid": str(os.getpid())})
    async def item(request):
        return JSONResponse({"id": request.path_params["id"], "price": price, "who": "any"})
    def user(request): return JSONResponse({"user": request.path_params["name"]}, headers=headers)
    async def same(request): return JSONResponse({"a": 1, "b": [1, 2]})
    async def echo(request):
        body = await request.body()
        return JSONResponse({"app": name, "headers": dict(request.headers), "query": str(request.url.query), "body": body.decode()})
    async def stuck(request):
        open(f"entered-{name}", "w").close()
        while os.path.exists(f"stuck-{name}"):
            if request.query_params["how"] == "blocks": time.sleep(0.02)
            else: await asyncio.sleep(0.02)
        return PlainTextResponse("free")
    async def fails(request):
        if os.path.exists(f"fails-{name}"): raise ValueError("s3cr3t in an exception")
        return PlainTextResponse(name)
    async def stream(request):
        async def parts():
            for number in range(3):
                yield f"{name} {number}\\n".encode()
        return StreamingResponse(parts())
    async def size(request):
        total = 0
        async for part in request.stream(): total += len(part)
        return PlainTextResponse(f"{name} {total}")
    async def talk(websocket):
        await websocket.accept(websocket["subprotocols"][0] if websocket["subprotocols"] else None)
        while True:
            text = await websocket.receive_text()
            if text == "end":
                await websocket.close(4001)
                return
            await websocket.send_text(f"{websocket.state.who}: {text}")
    return Starlette(lifespan=lifespan, routes=[
        Route("/who", who), Route("/v1/who", who), Route("/v1/{x}/who", who, methods=["GET", "POST"]), Route("/items/{id}", item),
        Route("/users/{name}", user), Route("/same", same), Route("/echo", echo, methods=["GET", "POST"]), Route("/stuck", stuck),
        Route("/fails", fails), Route("/stream", stream), Route("/size", size, methods=["POST"]), WebSocketRoute("/talk", talk)])
"""
OTHER = [pytest.param("old:app", id="thread"), pytest.param(f"old:app@{sys.executable}", id="process")]


def write(directory: Path) -> None:
    (directory / "common.py").write_text(COMMON)
    (directory / "new.py").write_text("from common import make\napp = make('new', 10, {'x-version': '2'})\n")
    (directory / "old.py").write_text("from common import make\napp = make('old', 12, {'x-version': '1'})\n")


@contextmanager
def serving(directory: Path, target: str, *options: str) -> Iterator[Server]:
    write(directory)
    with running(directory, target, *options) as server:
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.stop()  # which ends what it has started


def ask(
    server: Server, path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def until(true: Callable[[], Any], server: Server | None = None) -> Any:
    deadline = time.monotonic() + 60
    while not (found := true()):
        assert time.monotonic() < deadline, server.output() if server is not None else "it did not come to pass"
        time.sleep(0.05)
    return found


def metrics(port: int) -> dict[str, float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/metrics")
    lines = [line.rpartition(" ") for line in connection.getresponse().read().decode().splitlines() if line[:1] != "#"]
    return {name: float(value) for name, _, value in lines}


def copies(port: int, outcome: str = "") -> float:
    return sum(
        value
        for name, value in metrics(port).items()
        if name.startswith("freelane_migration_copies_total{") and outcome in name
    )


def page(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/")
    return connection.getresponse().read().decode()


def move(directory: Path, *words: str) -> str:
    done = subprocess.run(
        [COMMAND[0], "migration", *words],
        cwd=directory,
        text=True,
        timeout=120,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("other", OTHER)
def test_a_shadow_finds_each_difference_and_tells_no_secret(tmp_path: Path, other: str) -> None:
    pytest.importorskip("prometheus_client")
    port, page_port = free_port(), free_port()
    options = ["--shadow-method", "POST", "--redact", "iban", "--migration-page", str(page_port), "--metrics-port", str(port)]
    with serving(tmp_path, "new:app", "--shadow", other, *options) as server:
        paths = [f"/items/{n}" for n in range(20)] + [f"/users/{n}" for n in range(20)] + ["/same"] * 60

        def load() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
            for path in paths:
                connection.request("GET", path)
                answer = connection.getresponse()
                assert answer.status == 200 and answer.read()

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        secrets = {"Authorization": "Bearer s3cr3t-1", "Cookie": "sid=s3cr3t-2; theme=dark"}
        body = json.dumps({"password": "s3cr3t-4", "iban": "s3cr3t-5", "nested": {"api_key": ["s3cr3t-6"]}}).encode()
        status, answer = ask(server, "/echo?token=s3cr3t-3&q=1", "POST", body, secrets)
        assert status == 200 and all(f"s3cr3t-{number}".encode() in answer for number in range(1, 7))
        until(lambda: copies(port) == 401, server)
        found = metrics(port)
        different = {
            route: found.get(
                f'freelane_migration_copies_total{{method="{method}",outcome="different",route="{path}",side="old:app"}}'
            )
            for route in ("GET /items/{id}", "GET /users/{name}", "POST /echo", "GET /same")
            for method, path in [route.split()]
        }
        assert different["GET /same"] is None and different["POST /echo"] == 1
        assert different["GET /items/{id}"] and different["GET /users/{name}"]
        assert not copies(port, 'outcome="failed"')
        assert found['freelane_migration_answers_total{method="GET",outcome="2xx",route="/same",side="new:app"}'] == 240
        shown = page(page_port)
        assert "GET /items/{id}" in shown and "header x-version" in shown and "body $.price" in shown
        assert server.stop() == 0
        log = server.output()
        assert "GET /items/{id}: old:app differs from new:app in body $.price\n" in log
        assert '-  "price": 10,' in log and '+  "price": 12,' in log
        assert "GET /users/{name}: old:app differs from new:app in header x-version\n" in log
        written = (tmp_path / "freelane-migration.toml").read_text()
        progress = tomllib.loads(written)["tool"]["freelane"]["migration"]["progress"]
        assert progress["GET /same"]["answered by new:app"] == 240
        for text in (log, shown, written):
            assert "s3cr3t" not in text, text
        assert "Traceback" not in log


def test_the_way_people_begin_with_the_old_app_answers(tmp_path: Path) -> None:
    with serving(tmp_path, "old:app", "--shadow", "new:app", "--shadow-ignore", "header x-version") as server:
        assert ask(server, "/who") == (200, b"old")
        assert ask(server, "/users/x")[0] == 200 and ask(server, "/items/1")[0] == 200
        server.wait_for("GET /items/{id}: new:app differs from old:app in body $.price")
        server.wait_for("GET /who: new:app differs from old:app in body")
        assert "x-version" not in server.output()


@pytest.mark.parametrize("how", ["blocks", "waits"])
@pytest.mark.parametrize("other", OTHER)
def test_a_shadow_that_stalls_costs_copies_and_no_answer(tmp_path: Path, other: str, how: str) -> None:
    pytest.importorskip("prometheus_client")
    port = free_port()
    (tmp_path / "stuck-old").touch()
    options = ["--shadow-backlog", "20", "--metrics-port", str(port)]
    with serving(tmp_path, "new:app", "--shadow", other, *options) as server:
        for _ in range(60):
            assert ask(server, f"/stuck?how={how}") == (200, b"free")
        assert copies(port, 'outcome="dropped"') >= 40
        (tmp_path / "stuck-old").unlink()
        until(lambda: copies(port, 'outcome="equal"') >= 10, server)
        assert ask(server, "/same")[0] == 200
        until(lambda: copies(port, 'route="/same"') == 1, server)
        assert server.stop() == 0
        assert server.output().count("ended") == 2


def test_a_shadow_that_dies_is_started_again(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    port = free_port()
    options = ["--side-retry", "0.2", "--metrics-port", str(port)]
    with serving(tmp_path, "new:app", "--shadow", f"old:app@{sys.executable}", *options) as server:
        found = re.search(r"old:app runs as process (\d+)", server.output())
        assert found, server.output()
        os.kill(int(found[1]), signal.SIGKILL)

        def again() -> bool:
            assert ask(server, "/same")[0] == 200
            return copies(port, 'outcome="equal"') > 0

        until(again, server)
        assert copies(port, 'outcome="failed"') >= 1
        assert len(re.findall(r"old:app runs as process", server.output())) >= 2
        assert server.stop() == 0


@pytest.mark.parametrize("other", OTHER)
def test_a_canary_keeps_its_clients_and_moves_without_a_lost_request(tmp_path: Path, other: str) -> None:
    with serving(tmp_path, "new:app", "--canary", "20%", other, "--canary-by", "header:x-user") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

        def who(user: int) -> bytes:
            connection.request("GET", "/who", headers={"x-user": f"u{user}"})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            return body

        first = [who(user) for user in range(500)]
        assert 50 <= Counter(first)[b"old"] <= 150 and set(first) == {b"old", b"new"}
        assert [who(user) for user in range(500)] == first
        ended, answers, errors = threading.Event(), Counter[bytes](), []

        def load() -> None:
            client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
            user = 0
            try:
                while not ended.is_set():
                    user += 1
                    client.request("GET", "/who", headers={"x-user": f"u{user % 500}"})
                    answer = client.getresponse()
                    answers[answer.read()] += 1
                    assert answer.status == 200
            except Exception as exc:
                errors.append(exc)

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        for part, wanted in (("60%", None), ("100%", {b"old"}), ("0%", {b"new"})):
            move(tmp_path, "set", "share", part)
            until(lambda part=part: f"answers {part}" in server.output(), server)  # type: ignore[misc]
            now = [who(user) for user in range(500)]
            if wanted is None:
                assert all(after == b"old" for before, after in zip(first, now) if before == b"old")  # who came stays
                assert 200 < Counter(now)[b"old"] < 400
            else:
                assert set(now) == wanted
        ended.set()
        for thread in threads:
            thread.join()
        assert not errors and set(answers) == {b"old", b"new"}
        move(tmp_path, "set", "GET /who", "100%")
        until(lambda: who(1) == b"old", server)
        move(tmp_path, "unset", "GET /who")
        until(lambda: who(1) == b"new", server)
        assert "0%" in move(tmp_path, "show")
        assert server.stop() == 0
    with serving(tmp_path, "new:app", "--canary", "20% old:app", "--canary-by", "header:x-user") as server:
        assert "20%" in server.output() and "answers 0%" in server.output()  # where it was moved to holds
        assert {ask(server, "/who", headers={"x-user": f"u{user}"})[1] for user in range(50)} == {b"new"}


def talk(server: Server, text: str, subprotocols: list[Any] | None = None) -> tuple[Any, str | None, int]:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{server.port}/talk", subprotocols=subprotocols, open_timeout=120) as client:
        client.send(text)
        answer = client.recv(timeout=120)
        client.send("end")
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=120)
        return answer, client.subprotocol, client.close_code or 0


@pytest.mark.parametrize("other", OTHER)
def test_paths_go_to_their_side_whole(tmp_path: Path, other: str) -> None:
    routes = ("/v1/*", "POST /v1/x/who", "/stream", "/size", "/talk", "/nowhere", "/stuck")
    options = [word for path in (f"GET {routes[0]}", *routes[1:]) for word in ("--route", f"{path}={other}")]
    with serving(tmp_path, "new:app", *options) as server:
        assert ask(server, "/who") == (200, b"new")
        assert ask(server, "/v1/who") == (200, b"old")
        assert ask(server, "/v1/y/who", "POST", b"") == (200, b"new") and ask(server, "/v1/x/who", "POST", b"") == (200, b"old")
        assert ask(server, "/stream") == (200, b"old 0\nold 1\nold 2\n")
        assert ask(server, "/size", "POST", b"x" * 3_000_000) == (200, b"old 3000000")
        assert ask(server, "/nowhere")[0] == 404
        assert ask(server, "/stuck?how=waits")[1] == b"free"
        pytest.importorskip("websockets")
        assert talk(server, "hello", ["chat"]) == ("old: hello", "chat", 4001)
        assert server.stop() == 0
        assert "Traceback" not in server.output()


@pytest.mark.parametrize("other", OTHER)
def test_what_differs_between_the_sides_ways(tmp_path: Path, other: str) -> None:
    """The request that a side sees is the client's."""
    with serving(tmp_path, "new:app", "--route", f"/echo={other}") as server:
        status, answer = ask(server, "/echo?a=%2F%20+&b=%C3%A4", "POST", b"body", {"X-Odd": "a, b", "Accept-Encoding": "br"})
        found = json.loads(answer)
        assert status == 200 and found["app"] == "old"
        assert (found["query"], found["body"]) == ("a=%2F%20+&b=%C3%A4", "body")
        assert found["headers"]["host"] == f"127.0.0.1:{server.port}" and found["headers"]["x-odd"] == "a, b"
        more = set(found["headers"]) - {"host", "x-odd", "accept-encoding", "content-length"}
        assert more == ({"x-forwarded-for", "x-forwarded-proto"} if "@" in other else set())


def test_strangling_follows_its_file_and_writes_how_far_it_is(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    project = tmp_path / "pyproject.toml"
    text = (
        '[project]\nname = "shop"  # kept\n\n[tool.freelane]\napp = "nowhere:app"\n\n'
        '[tool.freelane.migration]\nold = "old:app"\nnew = "new:app"\npaths = ["/items/{id}", "GET /who"]\n'
    )
    project.write_text(text)
    write(tmp_path)
    port = free_port()
    command = [*COMMAND, "--strangle", "--port", str(port)]
    from compat_tests.servers import started

    with started(command, tmp_path, port, " | ") as server:
        assert ask(server, "/who") == (200, b"new") and ask(server, "/v1/who") == (200, b"old")
        assert json.loads(ask(server, "/items/1")[1])["price"] == 10
        move(tmp_path, "set", "/v1/who", "100%")
        move(tmp_path, "set", "GET /who", "0%")
        until(lambda: ask(server, "/v1/who") == (200, b"new") and ask(server, "/who") == (200, b"old"), server)
        assert server.stop() == 0
        log = server.output()
        assert log.index("new begins") < log.index("old begins")
        assert "new ended" in log and "old ended" in log
    assert project.read_text().startswith(text.replace("nowhere", "nowhere").rstrip())
    progress = tomllib.loads(project.read_text())["tool"]["freelane"]["migration"]["progress"]
    assert progress["GET /items/{id}"] == {"answered by new:app": 1}
    assert set(progress["GET /who"]) == {"answered by new:app", "answered by old:app"}
    assert project.read_text().count('name = "shop"  # kept') == 1


def test_a_side_that_fails_is_switched_off_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "fails-old").touch()
    with serving(tmp_path, "new:app", "--canary", "100% old:app", "--side-retry", "0.5") as server:
        for _ in range(40):
            ask(server, "/fails")
            if "switched off" in server.output():
                break
        server.wait_for("old:app is switched off: 20 of its last 20 answers failed. It is tried again in 0.5 s.")
        until(lambda: ask(server, "/fails") == (200, b"new"), server)
        (tmp_path / "fails-old").unlink()
        until(lambda: ask(server, "/fails") == (200, b"old"), server)
        assert "old:app is tried again." in server.output()
        assert server.stop() == 0


def test_a_side_that_is_not_there_loses_no_request(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with serving(tmp_path, "new:app", "--canary", f"100% {nobody}", "--route", f"/v1/*={nobody}") as server:
        for _ in range(40):
            assert ask(server, "/who") == (200, b"new")
            assert ask(server, "/size", "POST", b"x" * 10) == (200, b"new 10")
        assert f"{nobody} is switched off" in server.output()
        assert server.stop() == 0


def test_a_shutdown_waits_for_both(tmp_path: Path) -> None:
    for other in ("old:app", f"old:app@{sys.executable}"):
        (tmp_path / "stuck-old").touch()
        with serving(tmp_path, "new:app", "--route", f"/stuck={other}") as server:
            answers: list[tuple[int, bytes]] = []
            client = threading.Thread(target=lambda: answers.append(ask(server, "/stuck?how=waits")))
            client.start()
            until((tmp_path / "entered-old").exists, server)
            server.process.send_signal(signal.SIGTERM)
            (tmp_path / "stuck-old").unlink()
            (tmp_path / "entered-old").unlink()
            assert server.process.wait(120) == 0
            client.join()
            assert answers == [(200, b"free")], server.output()
            log = server.output()
            assert log.count("new ended") == 1 and log.count("old ended") == 1, log


def test_a_side_that_cannot_start_ends_the_start(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "bad.py").write_text(
        "from contextlib import asynccontextmanager\nfrom starlette.applications import Starlette\n"
        "@asynccontextmanager\nasync def lifespan(app):\n    raise RuntimeError('no database')\n    yield\n"
        "app = Starlette(lifespan=lifespan)\n"
    )
    for other in ("bad:app", f"bad:app@{sys.executable}"):
        done = subprocess.run(
            [*COMMAND, "new:app", "--shadow", other, "--port", str(free_port())], cwd=tmp_path, text=True, timeout=180,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 3, done.stdout
        assert "no database" in done.stdout and "new ended" in done.stdout, done.stdout


def test_nothing_of_it_is_there_where_nobody_asks(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(
        "import sys\nfrom starlette.applications import Starlette\nfrom starlette.responses import JSONResponse\n"
        "from starlette.routing import Route\n"
        "async def modules(request): return JSONResponse(sorted(sys.modules))\n"
        "app = Starlette(routes=[Route('/', modules)])\n"
    )
    with running(tmp_path, "plain:app") as server:
        found = json.loads(ask(server, "/")[1])
        assert "freelane.server.host" in found
        assert [name for name in found if name.startswith(("freelane.migration", "freelane.bench", "aiohttp"))] == []
