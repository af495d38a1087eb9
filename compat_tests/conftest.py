"""Fixtures that several modules share."""

from __future__ import annotations

from pathlib import Path

import pytest

from compat_tests import gil_extension


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ``needsgil``, an extension that turns the GIL on."""
    directory = tmp_path_factory.mktemp("extension")
    gil_extension.build(directory)
    return directory
