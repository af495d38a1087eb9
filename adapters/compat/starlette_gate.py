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

# What a tool may replace to see requests, which is then called: around the app's router, in
# routing, around an endpoint, on the way to a thread.
AROUND = (
    "starlette.applications:Starlette.__call__",
    "starlette.middleware.errors:ServerErrorMiddleware.__call__",
    "starlette.middleware.exceptions:ExceptionMiddleware.__call__",
    "starlette.middleware.exceptions:wrap_app_handling_exceptions",
)
ROUTING = (
    "starlette.routing:Mount.handle",
    "starlette.routing:Mount.matches",
    "starlette.routing:Route.handle",
    "starlette.routing:Route.matches",
    "starlette.routing:Router.__call__",
    "starlette.routing:Router.app",
    "starlette.routing:get_route_path",
)
ENDPOINT = ("starlette.routing:Request", "starlette.routing:wrap_app_handling_exceptions")
THREADS = ("anyio.to_thread:run_sync", "starlette.concurrency:run_in_threadpool")
RESPONSE = "starlette.responses:Response.__call__"


def obstacle() -> str:
    """Why this Starlette cannot be compiled, in words; empty where it can."""
    return versions.obstacle("starlette", OLDEST, NEWEST, PRIVATE)


def release() -> tuple[int, int]:
    """(major, minor) of the installed Starlette."""
    return versions.release("starlette")
