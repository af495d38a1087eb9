"""Every private name of FastAPI, pydantic and OpenTelemetry that this adapter uses.

A name that has moved, or a function that is not one of those in ``known``, takes FastAPI's own path. Tested by
compat_tests/test_framework_contract.py.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

from freelane.adapters.compat import starlette_gate, versions

PRIVATE = (
    "fastapi._compat:get_missing_field_error",
    "fastapi.dependencies.utils:request_body_to_args",
    "fastapi.dependencies.utils:request_params_to_args",
    "fastapi.dependencies.utils:solve_dependencies",
    "fastapi.routing:get_request_handler",
    "fastapi.routing:request_response",
    "fastapi.routing:serialize_response",
)

# Private names that newer releases have; ``older_fastapi`` knows what the older ones have instead.
OPTIONAL = (
    "fastapi._body_limit:get_body_limit_error",
    "fastapi.applications:AppBodyLimitMiddleware",
    "fastapi.dependencies.models:_get_cache_key",
    "fastapi.dependencies.models:_get_oauth_scopes",
    "fastapi.dependencies.models:_is_async_gen_callable",
    "fastapi.dependencies.models:_is_coroutine_callable",
    "fastapi.dependencies.models:_is_gen_callable",
    "fastapi.dependencies.utils:_get_param_aliases",
    "fastapi.dependencies.utils:_get_param_model",
    "fastapi.dependencies.utils:_is_json_field",
    "fastapi.dependencies.utils:_should_embed_body_fields",
    "fastapi.dependencies.utils:_solve_generator",
    "fastapi.routing:_FASTAPI_SCOPE_KEY",
    "fastapi.routing:_IncludedRouter",
    "fastapi.routing:_build_response_args",
    "fastapi.routing:_extract_endpoint_context",
    "fastapi.routing:_resolve_form_limits",
    "starlette.middleware.body_limit:MAX_BODY_SIZE_SCOPE_KEY",
)

# The middleware that FastAPI itself puts around routes, in the releases that have it.
LAYERS = (
    "fastapi.applications:AppBodyLimitMiddleware",
    "fastapi.applications:ExceptionTelemetryMiddleware",
    "fastapi.middleware.asyncexitstack:AsyncExitStackMiddleware",
)

# What FastAPI's request handler closes over, which is all that it knows of its route.
HANDLER = frozenset({
    "actual_response_class", "body_field", "dependant", "dependency_overrides_provider", "is_body_form", "is_coroutine",
    "response_field", "response_model_by_alias", "response_model_exclude", "response_model_exclude_defaults",
    "response_model_exclude_none", "response_model_exclude_unset", "response_model_include", "status_code",
})  # fmt: skip

# As in ``starlette_gate``.
AROUND = (
    "fastapi.applications:AppBodyLimitMiddleware.__call__",
    "fastapi.applications:ExceptionTelemetryMiddleware.__call__",
    "fastapi.applications:FastAPI.__call__",
    "fastapi.middleware.asyncexitstack:AsyncExitStackMiddleware.__call__",
)
ROUTING = (
    "fastapi.routing:APIRoute.handle",
    "fastapi.routing:APIRoute.matches",
    "fastapi.routing:APIRouter.__call__",
    "fastapi.routing:APIRouter.app",
    "fastapi.routing:APIRouter.handle",
    "fastapi.routing:APIRouter.matches",
    "fastapi.routing:_IncludedRouter.handle",
    "fastapi.routing:_IncludedRouter.matches",
    "fastapi.routing:get_route_path",
)
ENDPOINT = (
    *starlette_gate.REQUEST,
    "fastapi.dependencies.utils:_solve_generator",
    "fastapi.dependencies.utils:request_body_to_args",
    "fastapi.dependencies.utils:request_params_to_args",
    "fastapi.dependencies.utils:solve_dependencies",
    "fastapi.dependencies.utils:solve_generator",
    "fastapi.routing:Request",
    "fastapi.routing:_build_response_args",
    "fastapi.routing:run_endpoint_function",
    "fastapi.routing:serialize_response",
    "fastapi.routing:solve_dependencies",
    "fastapi.routing:wrap_app_handling_exceptions",
)
THREADS = (
    *starlette_gate.THREADS,
    "fastapi.dependencies.utils:run_in_threadpool",
    "fastapi.routing:run_in_threadpool",
)
# The way of JSON in and out, which apps that prefer another library replace.
READS_JSON = (
    "json:loads",
    "starlette.requests:Request.body",
    "starlette.requests:Request.json",
    "starlette.requests:json",
)
WRITES_JSON = (
    "fastapi.routing:jsonable_encoder",
    "json:dumps",
    "starlette.responses:JSONResponse.__init__",
    "starlette.responses:JSONResponse.render",
    "starlette.responses:Response.__init__",
    "starlette.responses:Response.init_headers",
    "starlette.responses:json",
)

# Globals that hold OpenTelemetry's providers; None while nobody has set one.
PROVIDERS = (
    "opentelemetry.trace:_TRACER_PROVIDER",
    "opentelemetry.metrics._internal:_METER_PROVIDER",
    "opentelemetry._logs._internal:_LOGGER_PROVIDER",
)


def in_scope(handler: Any) -> bool:
    """Whether what a request opens is closed by whoever left the exit stacks in its scope (0.118), after the response."""
    return "fastapi_inner_astack" in handler.__code__.co_consts


@functools.cache
def not_awaited() -> str:
    """What FastAPI says where a dependency swallowed the exception that it should have answered."""
    pending: list[Any] = [importlib.import_module("fastapi.routing").request_response.__code__]
    while pending:
        found = pending.pop()
        if isinstance(found, str) and found.startswith("Response not awaited"):
            return found
        pending += getattr(found, "co_consts", ())
    return "Response not awaited."


def obstacle() -> str:
    """Why this FastAPI cannot be compiled, in words; empty where it can."""
    return versions.obstacle("fastapi", PRIVATE)
