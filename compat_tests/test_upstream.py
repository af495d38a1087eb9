"""The frameworks' own test suites through ``freelane.wrap`` on the in-memory RSGI server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from compat_tests.upstream.suite import Results, Run, Suite, fetch, unpack
from compat_tests.upstream.suites import FASTAPI, STARLETTE

pytestmark = pytest.mark.thread_unsafe(reason="runs the suites in processes")


@dataclass(frozen=True)
class Runs:
    """One suite without freelane and with it, at the same time."""

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
    made = []
    for name, options in (("plain", ()), ("freelane", ("-p", "compat_tests.upstream.plugin"))):
        # A tree each: some tests write into it.
        root = unpack(archive, chosen.package, tmp_path_factory.mktemp(name))
        report = tmp_path_factory.mktemp("reports") / f"{name}.xml"
        made.append(Run(root, report, *chosen.options, *options))
    try:
        return Runs(chosen, *(run.results(chosen.seconds) for run in made))
    finally:
        for run in made:
            run.stop()


def name(test: str) -> str:
    return test.partition("[")[0]


def test_as_many_pass_as_can(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    passed = runs.plain.passed & runs.ours.passed
    with capsys.disabled():
        print(f"\n{runs.suite.package}'s suite: {len(runs.plain.passed)} pass without freelane, {len(passed)} with it")
    assert len(passed) >= runs.suite.least


def test_every_failure_is_expected(runs: Runs) -> None:
    assert sorted(test for test in runs.lost if name(test) not in runs.suite.expected) == []


def test_no_expectation_is_stale(runs: Runs) -> None:
    failing = {name(test) for test in runs.lost}
    # What needs a package that is not here passes on neither side.
    ran = {name(test) for test in runs.plain.passed}
    assert sorted(set(runs.suite.expected) & ran - failing) == []
