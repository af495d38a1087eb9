"""The tables of what differs: each row names a test that is there, and what the replay found has a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from compat_tests.replay import known

HERE = Path(__file__).resolve().parent
GUIDE = HERE.parent / "migration_guide"

# A reason of the replay's, and words of the row that tells people of it.
ROWS = {
    "PARSER": "no valid HTTP",
    "REASON_PHRASE": "reason phrase of Python's",
    "HTTP_1_0": "anything to HTTP/1.0",
    "AFTER_ERROR": "an exception after a complete answer",
    "HALF_CLOSED": "a client that has shut down its side",
    "ORDER": "headers of one name apart",
    "PADDING": "white space after a header's value",
    "HEADER_LIMIT": "a target of more than 64 KiB",
    "REFUSED_HANDSHAKE": "an answer that refuses the handshake",
    "BROKEN_FRAMES": "a broken frame",
    "CLOSE_REASON": "a client's close reason",
    "ACCEPT_HEADERS": "headers and cookies with the acceptance",
    "DEFLATE": "permessage-deflate",
    "EARLY_FRAME": "before the handshake's answer",
}


def tables(page: str) -> list[list[str]]:
    """The cells of each row of a page's tables that have a column of tests."""
    rows: list[list[str]] = []
    wanted = False
    for line in (GUIDE / page).read_text().splitlines():
        cells = [cell.strip() for cell in line.replace("\\|", "").strip("|").split("|")]
        if not line.startswith("|"):
            wanted = False
        elif cells[-1] == "test":
            wanted = True
        elif wanted and not cells[0].startswith("-"):
            rows.append(cells)
    return rows


@pytest.mark.parametrize("page", ["differences.md", "transports.md"])
def test_each_row_names_a_test(page: str) -> None:
    rows = tables(page)
    assert len(rows) > 10
    for cells in rows:
        if cells[-1] == "the same":
            continue
        for word in cells[-1].replace("`", "").split(", "):
            file, _, name = word.partition("::")
            assert (HERE / file).is_file(), f"{cells[0]}: no {file}"
            assert not name or f"def {name}(" in (HERE / file).read_text(), f"{cells[0]}: {file} has no {name}"


def test_what_the_replay_found_has_a_row() -> None:
    reasons = {name for name, value in vars(known).items() if name.isupper() and isinstance(value, str)}
    assert reasons == ROWS.keys()
    first = [cells[0] + cells[1] for page in ("differences.md", "transports.md") for cells in tables(page)]
    for name, words in ROWS.items():
        assert any(words in cells for cells in first), f"{name} has no row: {getattr(known, name)}"
