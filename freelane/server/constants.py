"""Keep threads from contending for the constants of an app's code.

Free-threaded Python makes the constants of code it reads from a ``.pyc`` immortal, so that
threads share them without counting references. Code that the import system has just compiled
is spared that (CPython's ``suppress_co_const_immortalization``, there for programs that call
``compile`` without end), and then every ``x * 1_000_003`` on two threads fights for one
counter. Modules are compiled on every start where nothing may write ``.pyc`` files, and on the
first start everywhere.
"""

from __future__ import annotations

import marshal
from importlib.machinery import SourceFileLoader
from types import CodeType
from typing import Any

from freelane.gil_lane.gil_watch import free_threaded

compile_source = SourceFileLoader.source_to_code


def source_to_code(self: SourceFileLoader, data: Any, path: Any, **options: Any) -> CodeType:
    """As ``SourceFileLoader.source_to_code``, with the constants a ``.pyc`` would give."""
    code: CodeType = marshal.loads(marshal.dumps(compile_source(self, data, path, **options)))
    return code


def install() -> None:
    """Do this for every module imported from now on; a build with the GIL needs nothing."""
    if free_threaded():
        SourceFileLoader.source_to_code = source_to_code  # type: ignore[method-assign]
