"""A body that was read before the endpoint ran is read once, and is there for whoever asks for it later."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from compat_tests.scheduled import Server

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
