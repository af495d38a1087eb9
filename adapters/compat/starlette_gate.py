"""Every private name of Starlette that the adapters use.

A name that has moved, or a function that is not one of those in ``known``, takes Starlette's own path. Tested by
compat_tests/test_framework_contract.py.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect

from freelane.adapters.compat import fingerprint, versions

PRIVATE = (
    "starlette._exception_handler:wrap_app_handling_exceptions",
    "starlette._utils:get_route_path",
    "starlette._utils:is_async_callable",
    "starlette.middleware.base:_CachedRequest",
    "starlette.middleware.base:_StreamingResponse",
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
REQUEST = ("starlette.requests:HTTPConnection.__init__", "starlette.requests:Request.__init__")
ENDPOINT = (*REQUEST, "starlette.routing:Request", "starlette.routing:wrap_app_handling_exceptions")
THREADS = ("anyio.to_thread:run_sync", "starlette.concurrency:run_in_threadpool")
DISPATCH = (
    "starlette.middleware.base:BaseHTTPMiddleware.__call__",
    "starlette.middleware.base:_CachedRequest",
    "starlette.middleware.base:_CachedRequest.wrapped_receive",
    "starlette.middleware.base:_StreamingResponse",
    "starlette.middleware.base:_StreamingResponse.__call__",
)
AUTHENTICATION = tuple(
    f"starlette.middleware.authentication:{name}"
    for name in (
        "AuthenticationMiddleware.__call__", "AuthCredentials", "AuthenticationError", "HTTPConnection", "UnauthenticatedUser",
    )
)  # fmt: skip
RESPONSE = "starlette.responses:Response.__call__"


# Modules of middleware that is compiled -> fingerprints of all their functions, in the releases that are known.
MIDDLEWARE = {
    "starlette.middleware.authentication": ("9cb9a88f31d4",),
    "starlette.middleware.base": ("88acba699bd5",),
    "starlette.middleware.cors": ("5dce2a7fc38f",),
    "starlette.middleware.gzip": ("55b70eeec18c",),
    "starlette.middleware.httpsredirect": ("774ff300b2c4",),
    "starlette.middleware.sessions": ("3d26ac7caf58",),
    "starlette.middleware.trustedhost": ("2735dfa2f22f",),
}


@functools.cache
def knows_middleware(module: str) -> bool:
    """Whether the code of ``module`` is what its compiled form was written after."""
    try:
        source = inspect.getsource(importlib.import_module(module))
    except OSError:
        return False
    found = sorted(fingerprint.functions(source).items())
    return hashlib.sha256(repr(found).encode()).hexdigest()[: fingerprint.LENGTH] in MIDDLEWARE[module]


def obstacle() -> str:
    """Why this Starlette cannot be compiled, in words; empty where it can."""
    return versions.obstacle("starlette", PRIVATE)
