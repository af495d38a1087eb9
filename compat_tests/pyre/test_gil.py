"""gil=True under ``freelane run``: in a process of the gil lane, with the app's own state."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.servers import free_port
from compat_tests.gil_servers import ask, command_of, pids
from compat_tests.servers import running, started

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

APP = """
import os
from pyreframework import Pyre

app = Pyre()
state = app.state

@app.before_request
def hook(req):
    state.incr("hooks")

@app.get("/gil/{n}", gil=True)
def gil(n: int):
    return {"pid": os.getpid(), "count": state.incr("count", n)}

@app.get("/def")
def free(req):
    return {"pid": os.getpid(), "count": state.get("count"), "hooks": state.get("hooks")}
"""


def test_gil_routes_run_in_a_process_of_their_own_and_share_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.py").write_text(APP)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with running(tmp_path, "app:app", "--alias", "pyreframework", "--show-lanes") as server:
        first = ask(server, "/gil/2")
        assert (first.status, first.header("freelane-lane")) == (200, "gil")
        second = ask(server, "/gil/3")
        here = ask(server, "/def")
        assert here.header("freelane-lane") == "free"
        assert first.json["pid"] == second.json["pid"] != here.json["pid"]
        assert here.json == {"pid": here.json["pid"], "count": "5", "hooks": "3"}
        assert ask(server, "/gil/x").status == 422
        # The key of the state is no argument, which everybody may read, and nothing lies about afterwards.
        for pid in pids(server):
            assert command_of(pid).split()[-1] == "freelane.gil_lane.process"
        assert server.stop() == 0
    assert not list(tmp_path.glob("freelane-state-*"))


def test_without_a_name_to_import_the_app_keeps_its_thread(tmp_path: Path) -> None:
    port = free_port()
    source = APP.replace("pyreframework", "freelane.adapters.pyre")
    (tmp_path / "serve.py").write_text(f"{source}\nif __name__ == '__main__':\n    app.run(port={port})\n")
    with started([sys.executable, "serve.py"], tmp_path, port, " | ") as server:
        assert ask(server, "/gil/2").json["pid"] == ask(server, "/def").json["pid"]
