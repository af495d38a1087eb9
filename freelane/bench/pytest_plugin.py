"""The fixture ``freelane_ab``: "the answers are equal" as a test of one's own.

def test_answers_are_equal(freelane_ab):
    freelane_ab("shop:app", against=["uvicorn"], requests=["GET /", "GET /items/1"])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from freelane.bench import Result


@pytest.fixture(scope="session")
def freelane_ab(request: pytest.FixtureRequest) -> Callable[..., Result]:
    """Call it as ``freelane.bench.compare``; a difference fails the test with its diff. Returns the Result.

    Apps are imported from pytest's rootdir unless ``app_dir`` says otherwise; ``uvicorn`` is what
    is compared with unless ``against`` is given. Nothing is timed unless ``compare_only=False``.
    """

    def call(app: str, against: Any = ("uvicorn",), requests: Any = ("GET /",), **options: Any) -> Result:
        __tracebackhide__ = True
        from freelane.bench import compare

        options.setdefault("app_dir", request.config.rootpath)
        found = compare(app, [against] if isinstance(against, str) else against, requests, **options)
        if not found.equal:
            pytest.fail("\n\n".join(map(str, found.differences)), pytrace=False)
        return found

    return call
