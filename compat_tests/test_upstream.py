"""Starlette's own test suite through ``freelane.wrap`` on the in-memory RSGI server."""

from __future__ import annotations

import pytest

from compat_tests.upstream import suite
from compat_tests.upstream.expected import EXPECTED

# What the suite of Starlette 1.10 must reach; 611 of its tests pass without us.
LEAST = 565


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[suite.Results, suite.Results]:
    directory = tmp_path_factory.mktemp("starlette")
    root = suite.unpack(suite.fetch("starlette"), "starlette", directory)
    reports = tmp_path_factory.mktemp("reports")
    plain = suite.Run(root, reports / "plain.xml")
    ours = suite.Run(root, reports / "freelane.xml", "-p", "compat_tests.upstream.plugin")
    return plain.results(300), ours.results(300)


def name(test: str) -> str:
    return test.partition("[")[0]


@pytest.mark.thread_unsafe(reason="runs the suite in processes")
def test_as_many_pass_as_can(
    runs: tuple[suite.Results, suite.Results], capsys: pytest.CaptureFixture[str]
) -> None:
    plain, ours = runs
    passed = plain.passed & ours.passed
    with capsys.disabled():
        print(f"\nStarlette's suite: {len(plain.passed)} pass without freelane, {len(passed)} of them with it")
    assert len(passed) >= LEAST


@pytest.mark.thread_unsafe(reason="runs the suite in processes")
def test_every_failure_is_expected(runs: tuple[suite.Results, suite.Results]) -> None:
    plain, ours = runs
    surprising = sorted(test for test in plain.passed - ours.passed if name(test) not in EXPECTED)
    assert surprising == []


@pytest.mark.thread_unsafe(reason="runs the suite in processes")
def test_no_expectation_is_stale(runs: tuple[suite.Results, suite.Results]) -> None:
    plain, ours = runs
    failing = {name(test) for test in plain.passed - ours.passed}
    assert sorted(set(EXPECTED) - failing) == []


