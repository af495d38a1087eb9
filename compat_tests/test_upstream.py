"""The frameworks' own test suites through ``freelane.wrap`` on the in-memory RSGI server."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pytest

from compat_tests.upstream.suite import Results, Run, Suite, fetch, unpack
from compat_tests.upstream.suites import FASTAPI, STARLETTE

pytestmark = pytest.mark.thread_unsafe(reason="runs the suites in processes")


@dataclass(frozen=True)
class Runs:
    """One suite with freelane, and those of its files that have failures without."""

    suite: Suite
    plain: Results
    ours: Results

    @property
    def lost(self) -> set[str]:
        return set(self.plain.passed - self.ours.passed)


def in_one_process(suite: Suite) -> Any:
    return pytest.param(suite, id=suite.package, marks=pytest.mark.xdist_group(suite.package))


@pytest.fixture(scope="module", params=[in_one_process(STARLETTE), in_one_process(FASTAPI)])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    chosen: Suite = request.param
    archive = fetch(chosen.package)
    made: list[Run] = []

    def results(name: str, *options: str, files: Collection[str] = ("tests",)) -> Results:
        # A tree each: some tests write into it.
        root = unpack(archive, chosen.package, tmp_path_factory.mktemp(name))
        report = tmp_path_factory.mktemp("reports") / f"{name}.xml"
        made.append(Run(root, report, *chosen.options, *options, files=files))
        return made[-1].results(chosen.seconds)

    try:
        ours = results("freelane", "-p", "compat_tests.upstream.plugin")
        return Runs(chosen, results("plain", files=sorted(ours.files)), ours)
    finally:
        for run in made:
            run.stop()


def name(test: str) -> str:
    return test.partition("[")[0]


def test_as_many_pass_as_can(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    passed = len(runs.ours.passed)
    with capsys.disabled():
        print(f"\n{runs.suite.package}'s suite: {passed} pass with freelane, {len(runs.lost)} only without it")
    assert passed >= runs.suite.least


def test_every_failure_is_expected(runs: Runs) -> None:
    assert sorted(test for test in runs.lost if name(test) not in runs.suite.expected) == []


def test_no_expectation_is_stale(runs: Runs) -> None:
    # What needs a package that is not here passes on neither side.
    passing = {name(test) for test in runs.ours.passed} - {name(test) for test in runs.lost}
    assert sorted(set(runs.suite.expected) & passing) == []
