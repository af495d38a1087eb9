"""What handlers may return, and what becomes of errors, on both lanes."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from freelane.adapters.pyre import HTMLResponse, JSONResponse, PlainTextResponse, Pyre, PyreResponse, exceptions, redirect
from freelane.adapters.pyre.testing import TestClient
from freelane.fastcore.json.writer import JSONError, dumps

pytestmark = pytest.mark.thread_unsafe(reason="one server for all of them")


@dataclasses.dataclass
class Point:
    x: int
    y: int


VALUES: dict[str, Any] = {
    "text": "plain",
    "json-text": '{"a":1}',
    "dict": {"a": [1, 2.5, None, True]},
    "list": [1, {"b": 2}],
    "bytes": b"\x00\xff",
    "none": None,
    "number": 5,
    "tuple": ("made", 201),
    "tuple-headers": ({"a": 1}, 202, {"x-own": "yes"}),
    "dataclass": Point(1, 2),
    "response": PyreResponse(body={"a": 1}, status_code=418, headers={"X-Own": "1"}),
    "json-string": JSONResponse("text"),
    "html": HTMLResponse("<p>"),
    "plain-json": PlainTextResponse("{}"),
    "several": PyreResponse("x", headers={"x-many": ["a", "b"]}),
    "redirect": redirect("/ä b"),
    "no-content": PyreResponse("ignored", 204),
    "injected": PyreResponse("x", headers={"x-own": "a\r\nset-cookie: b=1"}),
    "types": {"when": datetime.date(2024, 1, 31), "id": uuid.UUID(int=5)},
}
JSON, TEXT = "application/json", "text/plain; charset=utf-8"
EXPECTED = [
    ("text", 200, TEXT, b"plain"),
    ("json-text", 200, JSON, b'{"a":1}'),
    ("dict", 200, JSON, b'{"a":[1,2.5,null,true]}'),
    ("list", 200, JSON, b'[1,{"b":2}]'),
    ("bytes", 200, "application/octet-stream", b"\x00\xff"),
    ("none", 200, TEXT, b"None"),
    ("number", 200, TEXT, b"5"),
    ("tuple", 201, TEXT, b"made"),
    ("tuple-headers", 202, JSON, b'{"a":1}'),
    ("dataclass", 200, JSON, b'{"x":1,"y":2}'),
    ("response", 418, JSON, b'{"a":1}'),
    ("json-string", 200, JSON, b'"text"'),
    ("html", 200, "text/html; charset=utf-8", b"<p>"),
    ("plain-json", 200, TEXT, b"{}"),
    ("no-content", 204, TEXT, b""),
    ("injected", 500, JSON, b'{"error":"invalid response headers"}'),
    ("types", 200, JSON, b'{"when":"2024-01-31","id":"00000000-0000-0000-0000-000000000005"}'),
]


def register(app: Pyre, name: str, value: Any) -> None:
    def plain(req: Any) -> Any:
        return value

    async def on_loop(req: Any) -> Any:
        return value

    app.get(f"/def/{name}", plain)
    app.get(f"/async/{name}", on_loop)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = Pyre()
    for name, value in VALUES.items():
        register(app, name, value)

    @app.get("/raise/{name}")
    def fail(name: str) -> None:
        raise getattr(exceptions, name)("because", headers={"x-why": "that"})

    @app.get("/boom")
    def boom(req: Any) -> None:
        raise RuntimeError("secret")

    @app.get("/boom/async")
    async def boom_async(req: Any) -> None:
        raise RuntimeError("secret")

    @app.get("/coroutine")
    def coroutine(req: Any) -> Any:
        async def later() -> str:
            return "awaited"

        return later()

    @app.head("/own-head")
    def own_head(req: Any) -> PyreResponse:
        return PyreResponse("", headers={"x-head": "own"})

    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("lane", ["def", "async"])
@pytest.mark.parametrize(("name", "status", "content_type", "body"), EXPECTED)
def test_return_value(client: TestClient, lane: str, name: str, status: int, content_type: str, body: bytes) -> None:
    response = client.get(f"/{lane}/{name}")
    assert (response.status_code, response.headers["content-type"], response.body) == (status, content_type, body)


@pytest.mark.parametrize("lane", ["def", "async"])
def test_header_with_several_values_is_sent_several_times(client: TestClient, lane: str) -> None:
    headers = client.get(f"/{lane}/several").header_list
    assert [value for name, value in headers if name == "x-many"] == ["a", "b"]


def test_redirect_is_percent_encoded(client: TestClient) -> None:
    import http.client

    connection = http.client.HTTPConnection(client.host, client.port, timeout=120)
    connection.request("GET", "/def/redirect")
    response = connection.getresponse()
    assert (response.status, response.getheader("location")) == (302, "/%C3%A4%20b")


@pytest.mark.parametrize(("name", "status"), [("NotFound", 404), ("Conflict", 409), ("TooManyRequests", 429)])
def test_raised_status_is_the_answer(client: TestClient, name: str, status: int) -> None:
    response = client.get(f"/raise/{name}")
    assert (response.status_code, response.json(), response.headers["x-why"]) == (status, {"error": "because"}, "that")


def test_every_error_status_has_one_exception() -> None:
    classes = [item for item in vars(exceptions).values() if isinstance(item, type)]
    found = sorted(
        item.status_code for item in classes if issubclass(item, exceptions.HTTPException) and "status_code" in vars(item)
    )
    from http import HTTPStatus

    known = sorted(int(status) for status in HTTPStatus if status >= 400)
    assert found == sorted([*known, 500])  # the base class is 500 as well


@pytest.mark.parametrize("path", ["/boom", "/boom/async"])
def test_unexpected_exception_tells_the_client_nothing(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()) == (500, {"error": "handler error"})


def test_def_handler_may_return_a_coroutine(client: TestClient) -> None:
    assert client.get("/coroutine").text == "awaited"


def test_unknown_path_is_404(client: TestClient) -> None:
    response = client.get("/nowhere")
    assert (response.status_code, response.json()) == (404, {"error": "not found"})


def test_head_of_a_get_route_has_its_headers_and_no_body(client: TestClient) -> None:
    response = client.head("/def/dict")
    assert (response.status_code, response.body, response.headers["content-length"]) == (200, b"", "23")


def test_head_route_comes_before_get(client: TestClient) -> None:
    assert client.head("/own-head").headers["x-head"] == "own"


@pytest.mark.parametrize(
    ("value", "path"),
    [({"a": [1, float("nan")]}, "$.a[1]"), ([{"b": 1j}], "$[0].b"), ({"c": {(1,): 2}}, "$.c"), ([b"x"], "$[0]")],
)
def test_json_error_says_where(value: Any, path: str) -> None:
    with pytest.raises(JSONError) as caught:
        dumps(value)
    assert str(caught.value).endswith(f" at {path}")


def test_json_of_hostile_text_is_what_json_reads_back() -> None:
    import json

    value = {'\x00\x1f"\\/\u2028é😀': "".join(map(chr, range(0x250)))}
    assert json.loads(dumps(value)) == value
