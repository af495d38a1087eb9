"""Every private name of Starlette that the adapters use.

A name that has moved, or a function that is not one of those in ``known``, takes Starlette's own path. Tested by
compat_tests/test_framework_contract.py.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect

from freelane.adapters.compat import versions

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
DISPATCH = (
    "starlette.middleware.base:BaseHTTPMiddleware.__call__",
    "starlette.middleware.base:_CachedRequest",
    "starlette.middleware.base:_CachedRequest.wrapped_receive",
    "starlette.middleware.base:_StreamingResponse",
    "starlette.middleware.base:_StreamingResponse.__call__",
)
RESPONSE = "starlette.responses:Response.__call__"


# Digests of the sources of BaseHTTPMiddleware that ``adapters.starlette.dispatch`` was written after.
KNOWN_DISPATCH = ("c161ef5c0c4712ab",)


@functools.cache
def knows_dispatch() -> bool:
    """Whether the installed BaseHTTPMiddleware is one that is known, by what its code is."""
    try:
        source = inspect.getsource(importlib.import_module("starlette.middleware.base").BaseHTTPMiddleware)
    except OSError:
        return False
    return hashlib.sha256(source.encode()).hexdigest()[:16] in KNOWN_DISPATCH


def obstacle() -> str:
    """Why this Starlette cannot be compiled, in words; empty where it can."""
    return versions.obstacle("starlette", PRIVATE)
