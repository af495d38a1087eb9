"""What an app saw after its client was gone, written to files so that any worker's notes are found."""

from __future__ import annotations

import os
from pathlib import Path


def note(token: str, line: str) -> None:
    """Adds one line under ``token``; a single write in append mode, so that threads do not mix lines."""
    path = Path(os.environ["REPLAY_JOURNAL"]) / token
    with path.open("ab", buffering=0) as file:
        file.write(line.encode() + b"\n")
