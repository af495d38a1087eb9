"""Generated FastAPI apps answer through freelane as they answer alone: status, headers and body to the byte."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from compat_tests.generated import App, Sent, build, exchanges
from compat_tests.scheduled import Server
from freelane.testing import Transport

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
EXAMPLES = 100
SETTINGS = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}

pytestmark = pytest.mark.thread_unsafe(reason="runs event loops of its own")


def made(sent: Sent) -> httpx.Request:
    url = f"http://testserver{sent.target}"
    return httpx.Request(sent.method, url, headers=list(sent.headers), content=sent.body or None)


def through(transport: httpx.AsyncBaseTransport, requests: Sequence[Sent]) -> list[Answer]:
    async def ask() -> list[Answer]:
        found = []
        async with httpx.AsyncClient(transport=transport) as client:
            for sent in requests:
                answer = await client.send(made(sent))
                found.append((answer.status_code, [(n.lower(), v) for n, v in answer.headers.raw], answer.content))
        return found

    return asyncio.run(ask())


def plain(app: App, requests: Sequence[Sent]) -> list[Answer]:
    return through(httpx.ASGITransport(build(app), raise_app_exceptions=False), requests)


def wrapped(app: App, requests: Sequence[Sent]) -> list[Answer]:
    """As under another RSGI server: in a task of its loop."""
    return through(Transport(build(app)), requests)


def scheduled(app: App, requests: Sequence[Sent]) -> list[Answer]:
    """As under freelane's own server: first on a thread of the free lane."""
    server = Server(build(app))
    try:
        found = []
        for sent in requests:
            request = made(sent)
            target = request.url.raw_path.decode("ascii")
            answer = server.ask(request.method, target, request.headers.raw, request.content)
            headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers]
            found.append((answer.status, headers, answer.body))
        return found
    finally:
        server.close()


@pytest.mark.parametrize("ours", [wrapped, scheduled])
@given(exchange=exchanges())
@settings(max_examples=EXAMPLES, **SETTINGS)  # type: ignore[arg-type]
def test_same_answers(ours: Callable[[App, Sequence[Sent]], list[Answer]], exchange: tuple[App, list[Sent]]) -> None:
    app, requests = exchange
    for sent, expected, got in zip(requests, plain(app, requests), ours(app, requests), strict=True):
        assert got == expected, sent


def test_generated_requests_reach_all_sorts_of_answers() -> None:
    """The property means something only while right and wrong requests are both drawn."""
    statuses: Counter[int] = Counter()

    @given(exchanges())
    @settings(max_examples=100, database=None, derandomize=True, **SETTINGS)  # type: ignore[arg-type]
    def draw(exchange: tuple[App, list[Sent]]) -> None:
        statuses.update(status for status, _, _ in plain(*exchange))

    draw()
    assert {200, 201, 405, 409, 422} <= set(statuses)
    assert statuses[200] + statuses[201] > 0.3 * statuses.total()
    assert statuses[422] > 0.1 * statuses.total()
    assert statuses[500] < 0.05 * statuses.total()
