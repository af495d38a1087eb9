"""Fixtures that several modules share, and how cases are dealt out to processes (pytest-xdist)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compat_tests import gil_extension

# What takes minutes begins first, so that no process waits for another at the end.
LONGEST_FIRST = (
    "test_builds.py::test_suite_passes", "test_upstream.py::test_as_many_pass_as_can[fastapi]", "test_builds.py::test_what",
    "test_types.py", "test_version_ends.py", "test_replay.py", "test_upstream.py", "test_upstream_pyre.py", "test_replay_fastapi.py", "test_command.py", "test_rundown.py", "test_gil_lane.py",
)  # fmt: skip

# Cases that start processes and need no fixture of their module's: any process may take each.
SPREAD = {
    "test_architecture.py",
    "test_builds.py",
    "test_command.py",
    "test_rundown.py",
    "test_types.py",
    "test_version_ends.py",
}

# What `make check` runs: no server, no process, nothing of the network.
UNIT = {
    "test_router.py", "test_scope.py", "test_executor.py", "test_bridge.py", "test_wire.py", "test_plainjson.py", "test_compiled.py",
    "test_starlette_adapter.py", "test_granian_contract.py", "test_framework_contract.py", "test_generated_source.py",
    "test_architecture.py", "test_fastapi_bodies.py", "test_fastapi_changes.py", "test_gil_protocol.py", "test_migration_parts.py",
}  # fmt: skip


def place(item: pytest.Item) -> int:
    for number, start in enumerate(LONGEST_FIRST):
        if start in item.nodeid:
            return number
    return len(LONGEST_FIRST)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "unit: needs no server and no process; what make check runs")
    config.addinivalue_line("markers", "exhaustive: again what other cases show by examples; with --exhaustive only")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exhaustive", action="store_true", help="also what takes long, and what examples stand for elsewhere")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A module's cases share its servers, so one process runs them, unless they say otherwise (``xdist_group``)."""
    if not config.getoption("--exhaustive"):
        items[:] = [item for item in items if item.get_closest_marker("exhaustive") is None]
    for item in items:
        if item.path.name in UNIT:
            item.add_marker("unit")
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid if item.path.name in SPREAD else item.path.stem))
    items.sort(key=place)


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ``needsgil``, an extension that turns the GIL on."""
    directory = tmp_path_factory.mktemp("extension")
    gil_extension.build(directory)
    return directory


LOGGERS = [logging.getLogger(name) for name in ("freelane.error", "uvicorn", "uvicorn.error", "uvicorn.access", "_granian")]


@contextmanager
def loggers_kept() -> Iterator[None]:
    before = [(logger, logger.handlers[:], logger.propagate, logger.level) for logger in LOGGERS]
    yield
    for logger, handlers, propagate, level in before:
        logger.handlers[:] = handlers
        logger.propagate = propagate
        logger.setLevel(level)


@pytest.fixture(scope="module", autouse=True)
def loggers_of_a_module() -> Iterator[None]:
    """A server that was started in this process has given the loggers handlers: the next module has its own."""
    with loggers_kept():
        yield


@pytest.fixture(autouse=True)
def loggers_of_a_test(loggers_of_a_module: None) -> Iterator[None]:
    """Likewise between tests."""
    with loggers_kept():
        yield
