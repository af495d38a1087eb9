"""`freelane dev`: what a person at a terminal sees."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.servers import free_port
from compat_tests.servers import COMMAND, running, started

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
async def on_loop(request): return PlainTextResponse("loop")
def free(request): return PlainTextResponse("free")
async def fails(request): raise ValueError("not today")
app = Starlette(routes=[Route("/loop", on_loop), Route("/free", free), Route("/fails", fails)])
"""
ESCAPE = "\x1b["


@pytest.mark.parametrize("colours", [True, False])
def test_lanes_times_and_tracebacks(tmp_path: Path, colours: bool) -> None:
    """No terminal here: colours where they are asked for alone."""
    (tmp_path / "shop.py").write_text(APP)
    port = free_port()
    more = ["--use-colors"] if colours else []
    command = [COMMAND[0], "dev", "shop:app", "--port", str(port), *more]
    with started(command, tmp_path, port, " | ") as server:
        for path in ("/loop", "/free", "/fails"):
            server.get(path).read()
        (tmp_path / "shop.py").write_text("def broken(:\n")
        server.wait_for("waiting for a change")
        assert server.stop() == 0
    output = server.output()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    for path, status, lane in (
        ("/loop", "200 OK", "loop"),
        ("/free", "200 OK", "free"),
        ("/fails", "500 Internal Server Error", "loop"),
    ):
        line = rf'INFO:     127\.0\.0\.1:\d+ - "GET {path} HTTP/1\.1" {status} in \d+\.\d ms \({lane} lane\)\n'
        assert re.search(line, plain), plain
    traceback = output[output.index("Traceback (most") : output.index("not today") + 20]
    syntax = output[output.rindex("def broken") - 300 :]
    assert "ValueError: not today" in plain and "SyntaxError" in plain
    if colours:
        assert ESCAPE in traceback and ESCAPE in syntax and ESCAPE in output.split("INFO")[0]
    else:
        assert ESCAPE not in output


def test_a_format_of_ones_own_and_json(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    port = free_port()
    more = ["--access-log-format", "<%(method)s %(lane)s>", "--port", str(port)]
    with started([COMMAND[0], "dev", "shop:app", *more], tmp_path, port, " | ") as server:
        server.get("/free").read()
        assert server.stop() == 0
    assert "<GET free>\n" in server.output()


def test_no_line_of_the_access_log_is_lost_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with running(tmp_path, "shop:app", "--access-log") as server:
        for number in range(100):
            server.get(f"/loop?n={number}").read()
        assert server.stop() == 0
    numbers = re.findall(r'INFO:     127\.0\.0\.1:\d+ - "GET /loop\?n=(\d+) HTTP/1\.1" 200 OK\n', server.output())
    assert numbers == [str(number) for number in range(100)]
