"""A body that was read before the endpoint ran is read once, and is there for whoever asks for it later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Form, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from compat_tests.scheduled import Server
from freelane.adapters.registry import adapt

pytestmark = pytest.mark.thread_unsafe(reason="each test has a loop and its threads")
JSON = [(b"host", b"testserver"), (b"content-type", b"application/json")]


class Item(BaseModel):
    name: str


@pytest.fixture
def server() -> Iterator[Server]:
    app = FastAPI()

    @app.post("/def", response_model=None)
    def plain(item: Item) -> str:
        return item.name

    @app.post("/async", response_model=None)
    async def awaited(item: Item) -> str:
        return item.name

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: Exception) -> Response:
        return PlainTextResponse(await request.body(), 400)

    made = Server(app)
    yield made
    made.close()


@pytest.mark.parametrize("path", ["/def", "/async"])
@pytest.mark.parametrize(("body", "status", "answer"), [(b'{"name":"n"}', 200, b'"n"'), (b'{"name":1}', 400, b'{"name":1}')])
def test_body_is_read_once(
    server: Server, path: str, body: bytes, status: int, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            got = server.ask("POST", path, JSON, body)
            assert (got.status, got.body) == (status, answer)
        server.close()
    # Granian refuses a body that is claimed twice, which the loop lane would log.
    assert [record.getMessage() for record in caplog.records] == []
    assert server.errors == []


def failing_app(error: BaseException, kind: str) -> FastAPI:
    """An app behind middleware whose ``receive`` raises ``error``, with a route of one kind for its body."""
    app = FastAPI()

    class Failing:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def fails() -> Any:
                raise error

            await self.app(scope, fails, send)

    app.add_middleware(Failing)

    async def form(name: str = Form()) -> str:
        return name

    async def item(item: Item) -> str:
        return item.name

    def item_def(item: Item) -> str:
        return item.name

    endpoints: dict[str, Any] = {"form": form, "async": item, "def": item_def}
    app.post("/", response_model=None)(endpoints[kind])
    return app


async def answer_of(app: Any, content_type: bytes) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"a"), (b"content-type", content_type), (b"content-length", b"5")]
    scope = {"type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "headers": headers,
             "root_path": "", "http_version": "1.1", "scheme": "http", "server": ("a", 80), "client": None}  # fmt: skip
    await app(scope, None, send)
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("kind", ["async", "def", "form"])
@pytest.mark.parametrize("error", [RuntimeError("no"), OSError(5, "no"), TimeoutError(), HTTPException(418, "tea")], ids=repr)
def test_an_error_in_reading_the_body_is_fastapis(kind: str, error: Exception) -> None:
    content_type = b"application/x-www-form-urlencoded" if kind == "form" else b"application/json"
    adapted = adapt(failing_app(error, kind))
    assert adapted.router is not None  # type: ignore[attr-defined]
    found = asyncio.run(answer_of(adapted.app, content_type))
    assert found == asyncio.run(answer_of(failing_app(error, kind), content_type))
    assert found[0] == (418 if isinstance(error, HTTPException) else 400)
