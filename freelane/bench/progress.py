"""What is being done, while it is done: plain lines, or rich where it is installed and somebody looks."""

from __future__ import annotations

import sys


class Progress:
    """Says nothing: the base of those that do, and what the Python API uses."""

    def stage(self, text: str) -> None:
        """A new thing begins."""

    def step(self, done: int, total: int) -> None:
        """So much of it is done."""

    def note(self, text: str) -> None:
        """Something to know that stays on the screen."""

    def close(self) -> None:
        """The end, by whatever way."""


class Lines(Progress):
    """A line for each thing, on standard error."""

    def stage(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    note = stage
