"""Raw requests to a FastAPI app over real sockets: freelane's answers against uvicorn's, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from compat_tests.replay.cases import FASTAPI_CASES, FASTAPI_SOCKETS
from compat_tests.replay.compare import differences
from compat_tests.replay.known import FASTAPI_KNOWN
from compat_tests.replay.run import FASTAPI_TARGET, Pair, running_pair

pytestmark = pytest.mark.thread_unsafe(reason="one pair of servers answers case by case")

# (app, workers, transport): routes alone, and the same routes behind a stack of middleware.
SETUPS = {"rsgi": ("app", 1, "rsgi"), "asgi": ("app", 1, "asgi"), "two workers, middleware": ("stacked", 2, "rsgi")}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pair]]:
    with ExitStack() as stack:
        made = {}
        for name, (app, workers, transport) in SETUPS.items():
            journal = Path(tmp_path_factory.mktemp("journal"))
            pair = running_pair(f"{FASTAPI_TARGET}:{app}", journal, workers=workers, transport=transport)
            made[name] = stack.enter_context(pair)
        yield made


def parameters() -> list[tuple[str, str]]:
    """Every case in every setup; sockets where they are served in full (see the transports guide)."""
    return [
        (setup, case)
        for setup, (_, _, transport) in SETUPS.items()
        for case in FASTAPI_CASES
        if transport == "asgi" or case not in FASTAPI_SOCKETS
    ]


@pytest.mark.parametrize(("setup", "case"), parameters())
def test_same_answer(pairs: dict[str, Pair], setup: str, case: str) -> None:
    pair, script = pairs[setup], FASTAPI_CASES[case]
    # hyper says "Unprocessable Entity" where Python 3.13 says "Unprocessable Content": see REASON_PHRASE.
    found = differences(pair.reference.trace(script), pair.tested.trace(script), reason_phrase=False)
    reason, aspects = FASTAPI_KNOWN.get(case, ("", set()))
    assert {aspect: seen for aspect, seen in found.items() if aspect not in aspects} == {}
    assert found or not reason, f"no longer differs: take '{case}' out of FASTAPI_KNOWN"
