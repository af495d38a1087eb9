"""Generated FastAPI apps answer through freelane as they answer alone: status, headers and body to the byte."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compat_tests.generated import App, Sent, build, exchanges
from freelane.testing import Transport

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
EXAMPLES = 150

pytestmark = pytest.mark.thread_unsafe(reason="runs event loops of its own")


async def answers(transport: httpx.AsyncBaseTransport, requests: Sequence[Sent]) -> list[Answer]:
    found = []
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        for sent in requests:
            answer = await client.request(sent.method, sent.target, headers=list(sent.headers), content=sent.body)
            found.append((answer.status_code, [(n.lower(), v) for n, v in answer.headers.raw], answer.content))
    return found


def plain(app: App, requests: Sequence[Sent]) -> list[Answer]:
    return asyncio.run(answers(httpx.ASGITransport(build(app), raise_app_exceptions=False), requests))


def ours(app: App, requests: Sequence[Sent]) -> list[Answer]:
    async def ask() -> list[Answer]:
        return await answers(Transport(build(app)), requests)

    return asyncio.run(ask())


@given(exchanges())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_same_answers(exchange: tuple[App, list[Sent]]) -> None:
    app, requests = exchange
    for sent, expected, got in zip(requests, plain(app, requests), ours(app, requests), strict=True):
        assert got == expected, sent


def test_generated_requests_reach_all_sorts_of_answers() -> None:
    """The property means something only while right and wrong requests are both drawn."""
    statuses: Counter[int] = Counter()

    @given(exchanges())
    @settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def draw(exchange: tuple[App, list[Sent]]) -> None:
        statuses.update(status for status, _, _ in plain(*exchange))

    draw()
    assert {200, 201, 405, 409, 422} <= set(statuses)
    assert statuses[200] + statuses[201] > 0.1 * statuses.total()
    assert statuses[500] < 0.05 * statuses.total()
