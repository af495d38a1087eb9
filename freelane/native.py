"""Types that a compiled function keeps as C's, where a user says so; interpreted they are Python's own.

``int64``: an integer of 64 bits. Annotated with it, a parameter or a local name of a function that ``freelane build`` compiles
raises OverflowError for what does not fit, and never wraps. Validation (FastAPI, pydantic) sees an ``int``.
"""

from __future__ import annotations

from typing import Annotated

__all__ = ["int64"]

int64 = Annotated[int, "int64"]
