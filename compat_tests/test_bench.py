"""``freelane bench`` as a user meets it: equality before timing, contenders that fail, nothing left running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from compat_tests.servers import COMMAND
from freelane.bench import Result, compare
from freelane.bench.runs import Timing

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

BENCH = [*COMMAND[:-1], "bench"]
APP = """
import json, os, sys, time, uuid

def make(price=10, kind="a", status=200, order=False):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": f"{kind} {message['text']}"})
            return
        path, code, headers = scope["path"], 200, [(b"x-kind", kind.encode())]
        if path == "/die" and kind == "dies":
            os._exit(7)
        if path == "/private" and dict(scope["headers"]).get(b"authorization") != b"Bearer sesame":
            path, code = "/no", 401
        values = {"/": {"id": str(uuid.uuid4()), "now": time.time(), "kind": "x"}, "/login": {"access_token": "sesame"},
                  "/price": {"price": price, "currency": "EUR"}, "/private": {"secret": 1}}
        value = values.get(path)
        if value is None and code == 200:
            code = 404
        elif value is not None and order:
            value = dict(reversed(value.items()))
        body = json.dumps(value).encode()
        if path == "/price":
            code = status
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [(b"set-cookie", f"session={uuid.uuid4()}; Path=/; HttpOnly".encode())]
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    return app

app, same, ordered = make(), make(), make(order=True)
other, failing, dies = make(11, "b"), make(status=500), make(kind="dies")
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bench")
    (made / "shop.py").write_text(APP)
    (made / "broken.py").write_text("raise RuntimeError('no database')\n")
    return made


def bench(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BENCH, *arguments], cwd=directory, capture_output=True, text=True, timeout=300)


def ask(directory: Path, *against: str, requests: tuple[str, ...] = ("GET /", "GET /price"), **options: object) -> Result:
    return compare("shop:app", against, requests, subject="uvicorn", app_dir=directory, **options)  # type: ignore[arg-type]


def test_what_differs_by_nature_is_equal_and_listed(directory: Path) -> None:
    found = ask(directory, "uvicorn shop:same", "freelane", requests=("GET /", "GET /price", "WS /ws > hi < > ho <"))
    found.assert_equal()
    assert found.agreement.nature["GET /"] == ["header set-cookie", "body $.id", "body $.now"]
    # The words around what varies in a header are compared all the same.
    assert found.agreement.nature["GET /price"] == ["header set-cookie"]


def test_differences_are_found_with_their_places(directory: Path) -> None:
    found = ask(directory, "uvicorn shop:other", requests=("GET /", "GET /price", "WS /ws > hi"))
    assert [(item.request, item.places) for item in found.differences] == [
        ("GET /", ("header x-kind",)),
        ("GET /price", ("header x-kind", "body $.price")),
        ("WS /ws", ("message 1",)),
    ]
    assert '-  "price": 10' in found.differences[1].diff and '+  "price": 11' in found.differences[1].diff
    with pytest.raises(AssertionError, match="x-kind"):
        found.assert_equal()
    assert ask(directory, "uvicorn shop:other", ignore=("header x-kind", "$.price")).equal


def test_order_of_json_keys_is_named_and_strictly_a_difference(directory: Path) -> None:
    found = ask(directory, "uvicorn shop:ordered")
    assert found.equal and found.agreement.writing["GET /price"] == ["uvicorn shop:ordered: order of JSON keys"]
    assert not ask(directory, "uvicorn shop:ordered", strict=True).equal


def test_log_in_and_variables_reach_the_requests(directory: Path) -> None:
    private = ("GET /{{what}}",)
    assert ask(directory, requests=private, variables={"what": "private"}).agreement.failing == {"GET /{{what}}": "401"}
    found = ask(directory, "uvicorn", requests=private, variables={"what": "private"}, login="POST /login {}")
    assert found.equal and not found.agreement.failing


def test_timed_rows_have_numbers_and_a_failing_contender_has_none(directory: Path) -> None:
    arguments = ("shop:app", "--subject", "uvicorn", "-a", "failing=uvicorn shop:failing", "-r", "/price")
    refused = bench(directory, *arguments)
    assert refused.returncode == 1 and "+status: 500" in refused.stdout and "Not timed" in refused.stdout
    timed = bench(directory, *arguments, "--anyway", "-d", "1", "--rounds", "1", "--warm-up", "1", "-c", "4", "--json", "-")
    assert timed.returncode == 1
    result = json.loads(timed.stdout)
    first, second = result["rows"]
    assert first["rate"] > 0 and first["latency_ms"]["50"] <= first["latency_ms"]["99"] and first["invalid"] is None
    assert second["ratio"] is None and second["invalid"].startswith("errors under load: ")
    assert result["generator"] and result["placement"]


def test_a_contender_that_never_starts_says_why(directory: Path) -> None:
    failed = bench(directory, "shop:app", "-a", "uvicorn broken:app", "--compare-only")
    assert failed.returncode == 3 and "no database" in failed.stderr and "while starting" in failed.stderr
    silent = f"cmd:{sys.executable} -c 'import time; time.sleep(600)' {{port}}"
    failed = bench(directory, "shop:app", "-a", silent, "--compare-only", "--start-timeout", "1")
    assert failed.returncode == 3 and "no answer on" in failed.stderr


def test_a_contender_that_dies_of_a_request_is_named(directory: Path) -> None:
    failed = bench(directory, "shop:app", "-a", "uvicorn shop:dies", "-r", "/die", "--compare-only")
    assert failed.returncode == 3 and "uvicorn shop:dies: ended with 7" in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shop:app", "-a", "nginx"), "names no contender"),
        (("shop:app", "-a", "cmd:serve"), "{port}"),
        (("-a", "uvicorn"), "needs an app"),
        (("shop:app", "-r", "price"), "is no request"),
        (("shop:app", "-r", "/{{id}}", "--compare-only"), "--variable id=VALUE"),
        (("shop:app", "-a", "uvicorn@/no/such/python"), "is no program"),
        (("shop:app", "--cores", "1000"), "--cores must be"),
    ],
)
def test_mistakes_name_the_cure(directory: Path, arguments: tuple[str, ...], words: str) -> None:
    failed = bench(directory, *arguments)
    assert failed.returncode == 2 and words in failed.stderr and "Traceback" not in failed.stderr


def test_one_round_gives_no_interval() -> None:
    from freelane.bench.statistics import noise, ratio

    assert str(ratio([20.0], [10.0])) == "2.00 (one round)"
    found = ratio([20.0, 21.0, 19.0, 20.0], [10.0, 10.0, 10.0, 10.0])
    assert found.low is not None and found.high is not None and found.low < 2 < found.high
    assert noise(found, [0.0]) is None
    assert "1.0 cores" in str(noise(found, [1.0])) and "disagree" in str(noise(ratio([20, 40], [10, 10]), []))
    assert Timing().rounds > 1
