"""The compiled core under many threads, on a build with the GIL, and as a wheel."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from compat_tests.builds import IN_PLACE_WHEEL, ROOT, python_with_gil, run
from freelane.gil_lane.gil_watch import free_threaded

pytestmark = pytest.mark.thread_unsafe(reason="starts processes")

CORE = ["test_router.py", "test_executor.py", "test_scope.py", "test_bridge.py"]

# Whole suites, long replays, and plain Python: the build without the GIL has just run them, and no GIL changes them.
ON_ONE_BUILD = [
    "test_builds.py", "test_upstream.py", "test_upstream_pyre.py", "test_replay_fastapi.py", "test_version_ends.py",
    "test_gil_failure.py", "test_types.py", "pyre/test_examples.py", "pyre/test_demos.py",
    "test_architecture.py", "test_bench.py", "test_generated_source.py", "test_fastapi_properties.py", "test_fastapi_changes.py",
    "pyre/test_files.py", "pyre/test_injection.py", "pyre/test_mcp.py", "pyre/test_openapi.py", "pyre/test_state_rpc.py",
]  # fmt: skip


def test_core_tests_pass_in_parallel_threads() -> None:
    tests = [f"compat_tests/{name}" for name in CORE]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--parallel-threads=4", *tests]
    assert " passed" in run(command, 1800)


def passes_with_the_gil(arguments: Sequence[str]) -> None:
    command = [python_with_gil(), "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    assert " passed" in run(command, 7200)


# What the GIL decides: who runs at once with whom, threads or processes, signals, the lane on another build.
WITH_THE_GIL = {
    "core": [*CORE, "test_wire.py", "test_starlette_adapter.py", "test_transport.py", "test_scheduling.py", "test_threads_that_fail.py"],
    "served": ["test_serving.py", "test_signals.py", "test_worker_processes.py", "test_gil_lane.py", "test_websocket_ends.py"],
}  # fmt: skip


@pytest.mark.skipif(not free_threaded(), reason="this is that build")
@pytest.mark.parametrize("part", WITH_THE_GIL)
def test_what_the_gil_decides_on_a_build_with_it(part: str) -> None:
    passes_with_the_gil([f"compat_tests/{name}" for name in WITH_THE_GIL[part]])


@pytest.mark.exhaustive
@pytest.mark.skipif(not free_threaded(), reason="this is that build")
def test_suite_passes_on_a_build_with_the_gil() -> None:
    passes_with_the_gil([f"--ignore=compat_tests/{name}" for name in ON_ONE_BUILD])


@pytest.mark.parametrize("compiled", ["in place", pytest.param("again", marks=pytest.mark.exhaustive)])
def test_wheel_holds_the_package(compiled: str, tmp_path: Path) -> None:
    if compiled == "again":
        command = ["pip", "wheel", "-q", "--disable-pip-version-check", "--no-build-isolation", "--no-deps",
                   "-w", str(tmp_path), str(ROOT)]  # fmt: skip
        run([sys.executable, "-m", *command], 3600)
    else:
        run([sys.executable, "-c", IN_PLACE_WHEEL, str(tmp_path)], 1800)
    (wheel,) = tmp_path.glob("freelane-*.whl")
    assert "cp313t" in wheel.name or not free_threaded() or sys.version_info >= (3, 14)
    names = set(zipfile.ZipFile(wheel).namelist())
    for room in ("freelane", "fastcore", "adapters"):
        for source in (ROOT / room).glob("**/*.py"):
            path = source.relative_to(ROOT)
            assert str(path if room == "freelane" else Path("freelane") / path) in names
    for package in ("freelane", "freelane/fastcore", "freelane/adapters"):
        assert f"{package}/py.typed" in names
    for source in (ROOT / "fastcore").glob("**/*.pyx"):
        module = "freelane" / source.relative_to(ROOT).with_suffix("")
        assert any(name.startswith(f"{module}.cp") for name in names)
        assert {f"{module}.pyi", f"{module}.pxd"} <= names
    # Only what was compiled: nothing of the C that lies between.
    assert not [name for name in names if name.endswith(".c")]
