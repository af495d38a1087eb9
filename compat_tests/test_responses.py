"""Starlette's responses are what they are without freelane, whoever has changed what they are made with."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.background import BackgroundTask
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from freelane.adapters.starlette import responses

pytestmark = pytest.mark.thread_unsafe(reason="replaces methods of Starlette's classes")


class Text(str): ...


class Shouting(JSONResponse):
    media_type = "application/loud"

    def render(self, content: Any) -> bytes:
        return super().render(content).upper()


class Slots(Response):
    charset = "latin-1"


class WithHeaders(Response):
    def init_headers(self, headers: Any = None) -> None:
        super().init_headers({"x-own": "1", **(headers or {})})


def base_on_json(content: Any) -> JSONResponse:
    made = JSONResponse.__new__(JSONResponse)
    Response.__init__(made, content)
    return made


MADE: dict[str, Callable[[], Response]] = {
    "json": lambda: JSONResponse({"a": [1, 2.5, None, True, 'caf\u00e9 "\n\x01\x7f']}),
    "json, odd": lambda: JSONResponse({1: Text("x"), "y": (1e16, 1e-5, 2**70)}),
    "json, nan": lambda: JSONResponse([math.nan]),
    "json, object": lambda: JSONResponse(object()),
    "json, surrogate": lambda: JSONResponse("\ud800"),
    "json, deep": lambda: JSONResponse(json.loads("[" * 100 + "]" * 100)),
    "json, status": lambda: JSONResponse(None, 201),
    "json, no body": lambda: JSONResponse(None, status_code=204),
    "json, informational": lambda: JSONResponse("x", 103),
    "json, headers": lambda: JSONResponse([], headers={"X-A": "b", "Content-Type": "text/x"}),
    "json, type": lambda: JSONResponse([], media_type="application/problem+json"),
    "json, task": lambda: JSONResponse([], background=BackgroundTask(print)),
    "json, bad status": lambda: JSONResponse([], status_code=None),  # type: ignore[arg-type]
    "base on json": lambda: base_on_json({"a": 1}),
    "text": lambda: PlainTextResponse("caf\u00e9"),
    "text, surrogate": lambda: PlainTextResponse("\ud800"),
    "text, bytes": lambda: PlainTextResponse(b"x"),
    "text, view": lambda: PlainTextResponse(memoryview(b"x")),
    "text, number": lambda: PlainTextResponse(1),
    "html": lambda: HTMLResponse("<p>"),
    "plain": lambda: Response(),
    "plain, 304": lambda: Response(b"x", 304),
    "own render": lambda: Shouting({"a": "b"}),
    "own charset": lambda: Slots("caf\u00e9"),
    "own headers": lambda: WithHeaders(b"x"),
}


def shown(make: Callable[[], Response]) -> Any:
    try:
        made = make()
    except Exception as exc:
        return type(exc), str(exc)
    found = dict(vars(made))
    found["background"] = found["background"] is not None
    return found, made.media_type


@pytest.fixture
def both() -> Iterator[Callable[[bool], None]]:
    """Switches Starlette's methods and ours."""
    responses.install()
    ours = Response.__init__, JSONResponse.__init__
    theirs = responses.originals()

    def switch(on: bool) -> None:
        Response.__init__, JSONResponse.__init__ = ours if on else theirs  # type: ignore[method-assign]

    yield switch
    switch(True)


@pytest.mark.parametrize("name", MADE)
def test_made_alike(name: str, both: Callable[[bool], None]) -> None:
    found = shown(MADE[name])
    both(False)
    assert found == shown(MADE[name])


def test_takes_the_short_way(monkeypatch: pytest.MonkeyPatch, both: Callable[[bool], None]) -> None:
    encoders: list[Any] = []

    def encode(encoder: json.JSONEncoder, value: Any) -> str:
        encoders.append(value)
        return ""

    monkeypatch.setattr(json.JSONEncoder, "encode", encode)
    assert JSONResponse({"a": 1}).body == b'{"a":1}'
    assert not encoders


@pytest.mark.parametrize(
    ("holder", "name", "value"),
    [
        (json, "dumps", lambda *given, **more: '"replaced"'),
        (JSONResponse, "render", lambda self, content: b'"replaced"'),
        (Response, "init_headers", lambda self, headers=None: setattr(self, "raw_headers", [(b"replaced", b"1")])),
        (JSONResponse, "media_type", "application/replaced"),
        (
            JSONResponse,
            "__setattr__",
            lambda self, name, value: object.__setattr__(self, name, b"replaced" if name == "body" else value),
        ),
    ],
)
def test_calls_what_was_replaced(
    holder: Any, name: str, value: Any, monkeypatch: pytest.MonkeyPatch, both: Callable[[bool], None]
) -> None:
    monkeypatch.setattr(holder, name, value)
    made = JSONResponse({"a": 1})
    assert b"replaced" in made.body or b"replaced" in repr(made.raw_headers).encode()


def test_signatures_are_kept(both: Callable[[bool], None]) -> None:
    ours = [inspect.signature(kind.__init__) for kind in (Response, JSONResponse)]
    both(False)
    for mine, original in zip(ours, [inspect.signature(kind.__init__) for kind in (Response, JSONResponse)], strict=True):
        assert [(p.name, p.default, p.kind) for p in mine.parameters.values()] == [
            (p.name, p.default, p.kind) for p in original.parameters.values()
        ]
