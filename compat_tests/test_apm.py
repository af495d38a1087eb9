"""Monitoring agents, as installed, see of an app what they see under uvicorn."""

from __future__ import annotations

import http.client
import sys
from pathlib import Path

import pytest

from benchmarks.servers import free_port
from compat_tests.servers import running, started

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

TOOLS = {
    "newrelic": """
import newrelic.agent
newrelic.agent.global_settings().developer_mode = True
newrelic.agent.initialize()
newrelic.agent.register_application(timeout=10)
def add(app): pass
def now():
    found = newrelic.agent.current_transaction()
    return None if found is None else found.name
""",
    "elasticapm": """
import elasticapm
from elasticapm.contrib.starlette import ElasticAPM, make_apm_client
def add(app):
    options = {"SERVICE_NAME": "shop", "DISABLE_SEND": True, "METRICS_INTERVAL": "0s", "CENTRAL_CONFIG": False}
    client = make_apm_client(options)
    client.queue = client.tracer.queue_func = note
    app.add_middleware(ElasticAPM, client=client)
def note(kind, data, flush=False):
    seen.append([kind, data.get("name") or data.get("culprit"), data.get("result"), data.get("outcome")])
def now():
    return elasticapm.traces.execution_context.get_transaction() is not None
""",
}
APP = """
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
app = FastAPI()
seen = []
add(app)
@app.get("/async")
async def on_loop(): return now()
@app.get("/def/{x}")
def on_thread(x: int, y=Depends(now)): return [y, now()]
@app.get("/fails")
def fails(): raise ValueError("x")
@app.get("/refuses")
async def refuses(): raise HTTPException(418)
@app.get("/background")
async def background(tasks: BackgroundTasks):
    tasks.add_task(now)
    return now()
app.mount("/star", Starlette(routes=[Route("/in", lambda request: JSONResponse(now()))]))
@app.get("/seen")
async def tell(): return sorted(map(str, seen))
"""
PATHS = ("/async", "/def/1", "/def/x", "/fails", "/refuses", "/background", "/star/in", "/none", "/seen")


@pytest.mark.parametrize("tool", TOOLS)
def test_an_agent_sees_what_it_sees_under_uvicorn(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(tool)
    pytest.importorskip("uvicorn")
    monkeypatch.setenv("NEW_RELIC_DEVELOPER_MODE", "true")
    monkeypatch.setenv("NEW_RELIC_LICENSE_KEY", "0" * 40)
    monkeypatch.setenv("NEW_RELIC_APP_NAME", "shop")
    (tmp_path / "shop.py").write_text(TOOLS[tool] + APP)

    def answers(port: int) -> list[tuple[str, int, bytes]]:
        found = []
        for path in PATHS:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("GET", path)
            answer = connection.getresponse()
            found.append((path, answer.status, answer.read()))
            connection.close()
        return found

    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "shop:app", "--port", str(port)]
    with started(command, tmp_path, port, "Uvicorn running") as server:
        expected = answers(server.port)
    assert expected[0][1] == 200 and b"null" not in expected[0][2] and b"false" not in expected[0][2]
    with running(tmp_path, "shop:app") as server:
        assert answers(server.port) == expected
