"""Hooks and CORS run whatever the lane, and on what no route takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from freelane.adapters.pyre import Pyre, PyreResponse, PyreStream
from freelane.adapters.pyre.testing import TestClient, TestResponse

pytestmark = pytest.mark.thread_unsafe(reason="one server for all of them")

LANES = ["/def", "/async", "/gil"]


def build(before_async: bool, after_async: bool) -> Pyre:
    app = Pyre()

    def before(req: Any) -> Any:
        req.state.seen = req.headers.get("x-seen", "no")
        if req.headers.get("x-stop"):
            return PyreResponse("stopped", 401)
        if req.headers.get("x-break"):
            raise RuntimeError("broken hook")
        return None

    def after(req: Any, resp: PyreResponse) -> PyreResponse:
        headers = {**resp.headers, "x-after": f"{req.state.seen} {req.path}"}
        return PyreResponse(resp.body, resp.status_code, resp.content_type, headers)

    async def before_on_loop(req: Any) -> Any:
        await asyncio.sleep(0)
        return before(req)

    async def after_on_loop(req: Any, resp: PyreResponse) -> PyreResponse:
        await asyncio.sleep(0)
        return after(req, resp)

    app.before_request(before_on_loop if before_async else before)
    app.after_request(after_on_loop if after_async else after)
    app.after_request(lambda req, resp: None)

    @app.get("/def")
    def plain(req: Any) -> str:
        return req.state.seen  # type: ignore[no-any-return]

    @app.get("/async")
    async def on_loop(req: Any) -> str:
        return req.state.seen  # type: ignore[no-any-return]

    @app.get("/gil", gil=True)
    def gil(req: Any) -> str:
        return req.state.seen  # type: ignore[no-any-return]

    @app.get("/cookies")
    def cookies(req: Any) -> PyreResponse:
        return PyreResponse("", headers={"set-cookie": ["a=1", "b=2"]})

    @app.get("/stream")
    def stream(req: Any) -> PyreStream:
        stream = PyreStream(headers={"x-stream": "1"})
        stream.send("chunk")
        stream.close()
        return stream

    @app.get("/boom")
    def boom(req: Any) -> None:
        raise ValueError

    return app


@pytest.fixture(scope="module", params=[(False, False), (True, False), (False, True)], ids=["def", "before", "after"])
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    with TestClient(build(*request.param)) as client:
        yield client


@pytest.mark.parametrize("path", LANES)
def test_hooks_run_on_every_lane(client: TestClient, path: str) -> None:
    response = client.get(path, headers={"x-seen": "yes"})
    assert (response.text, response.headers["x-after"]) == ("yes", f"yes {path}")


@pytest.mark.parametrize("path", ["/nowhere", "/boom"])
def test_hooks_run_on_errors(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code in (404, 500)
    assert response.headers["x-after"] == f"no {path}"


@pytest.mark.parametrize("path", [*LANES, "/nowhere"])
def test_before_hook_answers_instead(client: TestClient, path: str) -> None:
    response = client.get(path, headers={"x-stop": "1"})
    assert (response.status_code, response.text) == (401, "stopped")


@pytest.mark.parametrize("path", LANES)
def test_broken_hook_never_lets_the_handler_run(client: TestClient, path: str) -> None:
    response = client.get(path, headers={"x-break": "1"})
    assert (response.status_code, response.json()) == (500, {"error": "before_request hook error"})


def test_every_set_cookie_survives_a_hook_that_copies_headers(client: TestClient) -> None:
    headers = client.get("/cookies").header_list
    assert [value for name, value in headers if name == "set-cookie"] == ["a=1", "b=2"]


def test_stream_survives_a_hook(client: TestClient) -> None:
    response = client.get("/stream")
    assert (response.text, response.headers["x-stream"], response.headers["x-after"]) == ("chunk", "1", "no /stream")


# -- CORS


def cors_app(**options: Any) -> Pyre:
    app = Pyre()
    app.enable_cors(**options)

    @app.get("/def")
    def plain(req: Any) -> str:
        return "ok"

    @app.get("/async")
    async def on_loop(req: Any) -> str:
        return "ok"

    @app.get("/gil", gil=True)
    def gil(req: Any) -> str:
        return "ok"

    return app


@pytest.fixture(scope="module")
def listed() -> Iterator[TestClient]:
    origins = ["https://a.example", "https://b.example"]
    with TestClient(cors_app(allow_origins=origins, allow_credentials=True, expose_headers="x-own")) as client:
        yield client


@pytest.fixture(scope="module")
def open_to_all() -> Iterator[TestClient]:
    with TestClient(cors_app()) as client:
        yield client


def preflight(client: TestClient, path: str, origin: str) -> TestResponse:
    return client.options(path, headers={"origin": origin, "access-control-request-method": "PUT"})


@pytest.mark.parametrize("path", [*LANES, "/nowhere"])
def test_preflight_is_answered_on_any_path(open_to_all: TestClient, path: str) -> None:
    response = preflight(open_to_all, path, "https://x.example")
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "PUT" in response.headers["access-control-allow-methods"]
    assert response.headers["access-control-max-age"] == "86400"


@pytest.mark.parametrize("path", [*LANES, "/nowhere"])
def test_one_origin_is_echoed(listed: TestClient, path: str) -> None:
    for response in (preflight(listed, path, "https://b.example"), listed.get(path, headers={"origin": "https://b.example"})):
        assert response.headers["access-control-allow-origin"] == "https://b.example"
        assert response.headers["vary"] == "Origin"
        assert response.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize("path", LANES)
def test_other_origins_get_nothing(listed: TestClient, path: str) -> None:
    for response in (
        preflight(listed, path, "https://evil.example"),
        listed.get(path, headers={"origin": "https://evil.example"}),
    ):
        assert "access-control-allow-origin" not in response.headers
        assert response.headers["vary"] == "Origin"


def test_plain_options_request_is_no_preflight(open_to_all: TestClient) -> None:
    assert open_to_all.options("/def").status_code == 404


def test_cors_headers_come_once(open_to_all: TestClient) -> None:
    names = [name for name, _ in open_to_all.get("/def").header_list]
    assert names.count("access-control-allow-origin") == 1
