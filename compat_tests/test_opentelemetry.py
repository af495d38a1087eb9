"""OpenTelemetry's own instrumentation, unchanged, traces what it traces under uvicorn, and what it does not look into stays compiled."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import free_port
from compat_tests.servers import running, started

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")

for name in ("opentelemetry.instrumentation.fastapi", "opentelemetry.instrumentation.asgi", "opentelemetry.sdk", "uvicorn"):
    pytest.importorskip(name)

HEAD = """
import json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
def current():
    return format(trace.get_current_span().get_span_context().trace_id, "032x")
def tell():
    "Each span: its name, kind, status, parent's name, attributes that are no addresses, events."
    done = spans.get_finished_spans()
    names = {span.context.span_id: span.name for span in done}
    return [json.loads(json.dumps([
        span.name, span.kind.name, span.status.status_code.name, span.parent and names.get(span.parent.span_id, "remote"),
        {key: value for key, value in span.attributes.items() if "port" not in key and "url" not in key and key != "http.host"},
        [event.name for event in span.events],
    ], default=str)) for span in done]
"""
FASTAPI = (
    HEAD
    + """
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
app = FastAPI()
@app.get("/async/{x}")
async def on_loop(x: int): return current()
@app.get("/def/{x}")
def on_thread(x: int, y=Depends(current)):
    with trace.get_tracer("shop", tracer_provider=provider).start_as_current_span("inner"):
        return [y, current()]
@app.get("/fails")
def fails(): raise ValueError("x")
@app.get("/refuses")
async def refuses(): raise HTTPException(418)
@app.get("/background")
async def background(tasks: BackgroundTasks):
    tasks.add_task(current)
    return 1
@app.post("/body")
async def body(given: dict): return given
"""
)
STARLETTE = (
    HEAD
    + """
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route
async def on_loop(request): return JSONResponse(current())
def on_thread(request):
    with trace.get_tracer("shop", tracer_provider=provider).start_as_current_span("inner"):
        return JSONResponse(current())
def fails(request): raise ValueError("x")
async def body(request): return JSONResponse(await request.json())
routes = [Route("/async/{x:int}", on_loop), Route("/def/{x}", on_thread), Route("/fails", fails), Route("/body", body, methods=["POST"])]
"""
)
APPS = {
    # FastAPI traces by itself as well where a provider is set for all.
    "fastapi, a provider for all": FASTAPI + "trace.set_tracer_provider(provider)\nFastAPIInstrumentor.instrument_app(app)\n",
    "fastapi, a provider of its own": FASTAPI + "FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)\n",
    "starlette, as middleware": STARLETTE
    + "app = Starlette(routes=routes, middleware=[Middleware(OpenTelemetryMiddleware, tracer_provider=provider)])\n",
    "asgi, around the app": STARLETTE + "app = OpenTelemetryMiddleware(Starlette(routes=routes), tracer_provider=provider)\n",
}
SEEN = """
inside = app
async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/seen":
        body = json.dumps(tell()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    else:
        await inside(scope, receive, send)
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
REQUESTS: list[tuple[str, str, bytes]] = [
    ("GET", "/async/1", b""), ("GET", "/def/1", b""), ("GET", "/async/x", b""), ("GET", "/fails", b""), ("GET", "/refuses", b""),
    ("GET", "/background", b""), ("POST", "/body", b'{"a": 1}'), ("POST", "/async/1", b""), ("GET", "/none", b""),
]  # fmt: skip


def answers(port: int) -> list[tuple[str, int, bytes]]:
    found = []
    for method, path, body in REQUESTS:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "content-type": "application/json", "host": "shop.test"}
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        found.append((path, answer.status, answer.read()))
        connection.close()
    return found


def spans(port: int) -> list[Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/seen")
    found: list[Any] = json.loads(connection.getresponse().read())
    # Concurrent ends of one request's spans have no order.
    return sorted(found, key=json.dumps)


@pytest.mark.parametrize("app", APPS)
def test_the_same_spans_as_under_uvicorn(app: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APPS[app] + SEEN)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "shop:app", "--port", str(port)]
    with started(command, tmp_path, port, "Uvicorn running") as server:
        expected, traced = answers(server.port), spans(server.port)
    assert TRACE.encode() in expected[0][2] and expected[1][2].count(TRACE.encode()) >= 1
    assert any(span[1] == "SERVER" and span[3] is None or span[3] == "remote" for span in traced)
    # Behind the app that tells, and by itself.
    with running(tmp_path, "shop:app") as server:
        assert answers(server.port) == expected
        assert spans(server.port) == traced
    with running(tmp_path, "shop:inside") as server:
        assert answers(server.port) == expected


def test_the_layers_inside_of_the_middleware_stay_compiled() -> None:
    from fastapi import FastAPI
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider

    from freelane.adapters.registry import adapt
    from freelane.adapters.starlette.inside import Inside

    app = FastAPI()
    FastAPIInstrumentor.instrument_app(app, tracer_provider=TracerProvider())
    adapt(app, None, None)
    found: list[Any] = []
    at: Any = app.middleware_stack
    while at is not None and len(found) < 20:
        found.append(type(at))
        at = getattr(at, "app", None)
    assert Inside in found, found
