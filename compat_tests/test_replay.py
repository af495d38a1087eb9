"""Raw requests over real sockets: freelane's answers against uvicorn's, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from compat_tests.replay.cases import CASES, ROOT_PATH_CASES
from compat_tests.replay.compare import Differences
from compat_tests.replay.known import KNOWN, SOMETIMES
from compat_tests.replay.run import TARGET, Pair, running_pair

pytestmark = pytest.mark.thread_unsafe(reason="one pair of servers answers case by case")

# (app, loops, root_path): routes alone, and the same routes behind a stack of middleware.
SETUPS = {"one worker": ("app", 1, ""), "two loops, middleware": ("stacked", 2, ""), "root path": ("app", 1, "/prefix")}


@pytest.fixture(scope="module")
def pair_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Pair]]:
    """The pair of servers of a setup, started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def started(setup: str) -> Pair:
            app, loops, root_path = SETUPS[setup]
            journal = Path(tmp_path_factory.mktemp("journal"))
            return stack.enter_context(running_pair(f"{TARGET}:{app}", journal, loops=loops, root_path=root_path))

        yield started


def parameters() -> list[Any]:
    """Every case in every setup; a setup's cases have one pair of servers, so one process runs them."""
    return [
        pytest.param(setup, case, marks=pytest.mark.xdist_group(f"replay {setup}"))
        for setup, (_, _, root_path) in SETUPS.items()
        for case in (ROOT_PATH_CASES if root_path else CASES)
    ]


@pytest.mark.parametrize(("setup", "case"), parameters())
def test_same_answer(pair_of: Callable[[str], Pair], setup: str, case: str) -> None:
    pair, script = pair_of(setup), (ROOT_PATH_CASES if SETUPS[setup][2] else CASES)[case]
    reason, aspects = KNOWN.get(case, ("", set()))

    def surprising(found: Differences) -> Differences:
        # Middleware adds headers to the answers of the side that let the app answer.
        known = set(found) if reason and SETUPS[setup][0] != "app" else aspects
        return {aspect: seen for aspect, seen in found.items() if aspect not in known}

    def as_known(found: Differences) -> bool:
        return not surprising(found) and bool(found or not reason or case in SOMETIMES)

    found = pair.differences(script, as_known)
    assert surprising(found) == {}
    assert as_known(found), f"no longer differs: take '{case}' out of KNOWN"
