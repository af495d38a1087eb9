"""Raw requests over real sockets: freelane's answers against uvicorn's, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from compat_tests.replay.cases import CASES, ROOT_PATH_CASES
from compat_tests.replay.compare import differences
from compat_tests.replay.known import KNOWN, SOMETIMES
from compat_tests.replay.run import TARGET, Pair, running_pair

pytestmark = pytest.mark.thread_unsafe(reason="one pair of servers answers case by case")

# (app, workers, root_path): routes alone, and the same routes behind a stack of middleware.
SETUPS = {"one worker": ("app", 1, ""), "two workers, middleware": ("stacked", 2, ""), "root path": ("app", 1, "/prefix")}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pair]]:
    made = {}
    with ExitStack() as stack:
        for name, (app, workers, root_path) in SETUPS.items():
            journal = Path(tmp_path_factory.mktemp("journal"))
            pair = running_pair(f"{TARGET}:{app}", journal, workers=workers, root_path=root_path)
            made[name] = stack.enter_context(pair)
        yield made


def parameters() -> list[tuple[str, str]]:
    return [(setup, case) for setup, (_, _, root_path) in SETUPS.items() for case in (ROOT_PATH_CASES if root_path else CASES)]


@pytest.mark.parametrize(("setup", "case"), parameters())
def test_same_answer(pairs: dict[str, Pair], setup: str, case: str) -> None:
    pair, script = pairs[setup], (ROOT_PATH_CASES if SETUPS[setup][2] else CASES)[case]
    found = differences(pair.reference.trace(script), pair.tested.trace(script))
    reason, aspects = KNOWN.get(case, ("", set()))
    if reason and SETUPS[setup][0] != "app":
        aspects = set(found)  # middleware adds headers to the answers of the side that let the app answer
    surprising = {aspect: pair for aspect, pair in found.items() if aspect not in aspects}
    assert surprising == {}
    assert found or not reason or case in SOMETIMES, f"no longer differs: take '{case}' out of KNOWN"
