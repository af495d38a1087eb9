"""The private names of Granian that freelane stands on are all there, and no module else has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import freelane
from freelane import _granian


def test_contract_holds() -> None:
    assert _granian.contract() == []


def test_contract_says_which_name_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_granian.NAMES, "RSGIHeaders", ("items", "renamed"))
    monkeypatch.setitem(_granian.NAMES, "NoSuchClass", ())
    assert _granian.contract() == [
        "granian._granian.RSGIHeaders.renamed is gone",
        "granian._granian.NoSuchClass is gone",
    ]


def test_contract_says_which_parameter_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_granian, "WORKER_PARAMETERS", (*_granian.WORKER_PARAMETERS, "more"))
    assert any("RSGIWorker takes other parameters: more" in line for line in _granian.contract())


def test_only_one_module_imports_granian() -> None:
    root = Path(freelane.__file__).parent
    for path in [*root.glob("*.py"), *root.glob("../adapters/**/*.py"), *root.glob("../fastcore/*.py*")]:
        if path.suffix in (".py", ".pyx") and path.name != "_granian.py":
            assert not re.search(r"^\s*(from|import) granian", path.read_text(), re.MULTILINE), path
