"""Pyre's own black-box tests on freelane's adapter."""

from __future__ import annotations

import importlib.util

import pytest

from compat_tests.upstream import pyre
from compat_tests.upstream.suite import Results

CASES = 209
LEAST = 204

pytestmark = [
    pytest.mark.thread_unsafe(reason="runs the suite in a process"),
    pytest.mark.skipif(importlib.util.find_spec("umsgpack") is None, reason="needs the pyre extra"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    # Its tests have fixed ports, so only one test here may start them: two may run in two processes.
    root = pyre.unpack(tmp_path_factory.mktemp("pyre"))
    return pyre.PyreRun(root, tmp_path_factory.mktemp("report") / "pyre.xml").results(1800)


def test_as_many_pass_as_on_pyre_and_every_failure_has_its_reason(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nPyre's tests: {len(results.passed)} of {CASES} pass")
    assert len(results.passed) >= LEAST
    assert sorted(results.failed) == sorted(pyre.EXPECTED)
