"""Raw requests to a FastAPI app over real sockets: freelane's answers against uvicorn's, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from compat_tests.replay.cases import FASTAPI_CASES, FASTAPI_SOCKETS
from compat_tests.replay.compare import Differences
from compat_tests.replay.known import FASTAPI_KNOWN
from compat_tests.replay.run import FASTAPI_TARGET, Pair, running_pair

pytestmark = pytest.mark.thread_unsafe(reason="one pair of servers answers case by case")

# (app, loops, transport): routes alone, and the same routes behind a stack of middleware.
SETUPS = {"rsgi": ("app", 1, "rsgi"), "asgi": ("app", 1, "asgi"), "two loops, middleware": ("stacked", 2, "rsgi")}


@pytest.fixture(scope="module")
def pair_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Pair]]:
    """The pair of servers of a setup, started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def started(setup: str) -> Pair:
            app, loops, transport = SETUPS[setup]
            journal = Path(tmp_path_factory.mktemp("journal"))
            return stack.enter_context(running_pair(f"{FASTAPI_TARGET}:{app}", journal, loops=loops, transport=transport))

        yield started


def parameters() -> list[Any]:
    """Every case in every setup; sockets where they are served in full (see the transports guide)."""
    return [
        pytest.param(setup, case, marks=pytest.mark.xdist_group(f"FastAPI replay {setup}"))
        for setup, (_, _, transport) in SETUPS.items()
        for case in FASTAPI_CASES
        if transport == "asgi" or case not in FASTAPI_SOCKETS
    ]


@pytest.mark.parametrize(("setup", "case"), parameters())
def test_same_answer(pair_of: Callable[[str], Pair], setup: str, case: str) -> None:
    pair, script = pair_of(setup), FASTAPI_CASES[case]
    # hyper says "Unprocessable Entity" where Python 3.13 says "Unprocessable Content": see REASON_PHRASE.
    reason, aspects = FASTAPI_KNOWN.get(case, ("", set()))

    def surprising(found: Differences) -> Differences:
        return {aspect: seen for aspect, seen in found.items() if aspect not in aspects}

    def as_known(found: Differences) -> bool:
        return not surprising(found) and bool(found or not reason)

    found = pair.differences(script, as_known, reason_phrase=False)
    assert surprising(found) == {}
    assert as_known(found), f"no longer differs: take '{case}' out of FASTAPI_KNOWN"
