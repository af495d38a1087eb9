"""The private names of Granian that freelane stands on are all there, and no module else has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import freelane
from freelane.server import granian


def test_contract_holds() -> None:
    assert granian.contract() == []


def test_contract_says_which_name_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(granian.NAMES, "RSGIHeaders", ("items", "renamed"))
    monkeypatch.setitem(granian.NAMES, "NoSuchClass", ())
    assert granian.contract() == [
        "granian._granian.RSGIHeaders.renamed is gone",
        "granian._granian.NoSuchClass is gone",
    ]


def test_contract_says_which_parameter_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(granian, "WORKER_PARAMETERS", (*granian.WORKER_PARAMETERS, "more"))
    assert any("RSGIWorker takes other parameters: more" in line for line in granian.contract())


def test_only_one_module_imports_granian() -> None:
    root = Path(freelane.__file__).parent
    rooms = [root, root.parent / "adapters", root.parent / "fastcore"]
    for path in {path.resolve() for room in rooms for path in room.rglob("*.py*")}:
        if path.suffix in (".py", ".pyx") and path.name != "granian.py":
            assert not re.search(r"^\s*(from|import) granian", path.read_text(), re.MULTILINE), path
