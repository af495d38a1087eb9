"""Every private name of Starlette that the adapters use, and the versions they know.

A name that has moved, or a version that is not known, takes Starlette's own path. Tested by
compat_tests/test_framework_contract.py.
"""

from __future__ import annotations

from freelane.adapters.compat import versions

# The Starlette releases that the compiled path is tested with, both ends included.
OLDEST = (0, 49)
NEWEST = (1, 10)

PRIVATE = (
    "starlette._exception_handler:wrap_app_handling_exceptions",
    "starlette._utils:get_route_path",
    "starlette._utils:is_async_callable",
)


def obstacle() -> str:
    """Why this Starlette cannot be compiled, in words; empty where it can."""
    return versions.obstacle("starlette", OLDEST, NEWEST, PRIVATE)


def release() -> tuple[int, int]:
    """(major, minor) of the installed Starlette."""
    return versions.release("starlette")
