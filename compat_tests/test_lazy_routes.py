"""Routes are compiled for their first request, and included routers read for theirs; the answers are the app's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Form
from fastapi.middleware.cors import CORSMiddleware

from compat_tests.scheduled import Server
from freelane.adapters.fastapi import codegen, reader
from freelane.adapters.starlette.plan import Entry, Later

pytestmark = pytest.mark.thread_unsafe(reason="codegen is patched")
includes = pytest.mark.skipif(reader.IncludedRouter is reader.NoRouter, reason="this FastAPI copies the routes it includes")
FORM = [(b"content-type", b"application/x-www-form-urlencoded")]


def make_app() -> FastAPI:
    app, router = FastAPI(), APIRouter(prefix="/in")

    def page(limit: int = 3) -> int:
        return limit

    @app.get("/def/{n}")
    def plain(n: int, page: int = Depends(page)) -> Any:
        return {"n": n, "page": page}

    @app.get("/async/{n}")
    async def waits(n: int) -> Any:
        return {"n": n}

    @app.post("/form")
    async def form(n: int = Form()) -> Any:
        return {"n": n}

    @router.get("/def/{n}")
    def included(n: int, page: int = Depends(page)) -> Any:
        return {"n": n, "page": page}

    @router.get("/async/{n}")
    async def included_async(n: int) -> Any:
        return {"n": n}

    app.include_router(router)
    app.get("/last")(lambda: "last")
    return app


ASKED = {
    "/def/1?limit=2": (200, b'{"n":1,"page":2}'), "/async/2": (200, b'{"n":2}'), "/in/def/3": (200, b'{"n":3,"page":3}'),
    "/in/async/4": (200, b'{"n":4}'), "/last": (200, b'"last"'), "/nothing": (404, b'{"detail":"Not Found"}'),
}  # fmt: skip


@pytest.fixture(params=["direct", "middleware"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    app = make_app()
    if request.param == "middleware":
        app.add_middleware(CORSMiddleware, allow_origins=["*"])
    found = Server(app)
    yield found
    found.close()


def written(server: Server) -> list[str]:
    """The paths of the routes that are compiled, as far as the table goes by now."""
    rows = server.adapted.router.table.rows  # type: ignore[attr-defined]
    later = [(path, entry.plan.call) for path, *_, entry in rows if type(entry) is Entry and type(entry.plan.call) is Later]
    assert len(later) >= 2
    return [path for path, call in later if call.found is not None]


def test_a_route_is_compiled_for_its_first_request(server: Server) -> None:
    assert written(server) == []
    answer = server.ask("GET", "/def/1?limit=2")
    assert (answer.status, answer.body) == ASKED["/def/1?limit=2"]
    assert written(server) == ["/def/{n}"]


def test_each_first_request_has_the_apps_answer(server: Server) -> None:
    for path, expected in ASKED.items():
        for _ in range(2):
            answer = server.ask("GET", path)
            assert (answer.status, answer.body) == expected
    assert server.ask("POST", "/form", FORM, b"n=5").body == b'{"n":5}'


@includes
def test_an_included_router_is_read_for_its_first_request(server: Server) -> None:
    router = server.adapted.router  # type: ignore[attr-defined]
    (included,) = [route for route in router.router.routes if reader.FastAPIReader().is_dear(route)]
    assert server.adapted.direct
    server.ask("GET", "/async/2")
    assert not router.table.whole and included._effective_candidates == []
    assert server.ask("GET", "/in/def/3").body == b'{"n":3,"page":3}'
    assert router.table.whole and "/in/def/{n}" in written(server)


def test_requests_that_come_at_once_wait_for_one_reading_and_one_compiling(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    write = codegen.Writer.write

    def counted(self: Any) -> Any:
        made.append(self.handler.dependant.path)
        return write(self)

    monkeypatch.setattr(codegen.Writer, "write", counted)
    barrier = threading.Barrier(8)
    answers: list[Any] = []

    def ask() -> None:
        barrier.wait()
        answers.append(server.ask("GET", "/in/def/3"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(answer.status, answer.body) for answer in answers} == {ASKED["/in/def/3"]}
    assert made == ["/in/def/{n}"]


def test_a_route_that_cannot_be_compiled_after_all_has_fastapis_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any) -> Any:
        raise RuntimeError("not this one")

    monkeypatch.setattr(codegen.Writer, "write", fails)
    for path, expected in ASKED.items():
        answer = server.ask("GET", path)
        assert (answer.status, answer.body) == expected
    assert server.ask("POST", "/form", FORM, b"n=5").body == b'{"n":5}'
    assert server.errors == []


@includes
def test_routers_that_cannot_be_read_after_all_are_fastapis(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*values: Any) -> Any:
        raise RuntimeError("not these")

    monkeypatch.setattr(reader.FastAPIReader, "effective_row", fails)
    for path, expected in ASKED.items():
        answer = server.ask("GET", path)
        assert (answer.status, answer.body) == expected
    assert server.errors == []
