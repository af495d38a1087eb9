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


class Bar(Progress):
    """A bar by rich that says what is done now; what stays is printed above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Shown

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        self.shown = Shown(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
        self.task = self.shown.add_task("", total=None)
        self.shown.start()

    def stage(self, text: str) -> None:
        self.shown.update(self.task, description=text)

    def step(self, done: int, total: int) -> None:
        self.shown.update(self.task, completed=done, total=total)

    def note(self, text: str) -> None:
        self.shown.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self.shown.stop()


def choose() -> Progress:
    """Rich where it is installed and standard error is a terminal; plain lines otherwise."""
    if sys.stderr.isatty():
        try:
            return Bar()
        except ImportError:
            pass
    return Lines()
