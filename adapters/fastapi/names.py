"""Every private name of FastAPI, pydantic and OpenTelemetry that this adapter uses, and the versions it knows.

A name that has moved, or a version that is not known, takes FastAPI's own path. Tested by
compat_tests/test_framework_contract.py.
"""

from __future__ import annotations

import importlib
import re
from importlib.metadata import version
from typing import Any

# The FastAPI releases that the compiled path is tested with, both ends included.
OLDEST = (0, 160)
NEWEST = (0, 165)

PRIVATE = (
    "fastapi._body_limit:get_body_limit_error",
    "fastapi.applications:ExceptionTelemetryMiddleware",
    "fastapi.applications:AppBodyLimitMiddleware",
    "fastapi.dependencies.models:_get_cache_key",
    "fastapi.dependencies.models:_get_oauth_scopes",
    "fastapi.dependencies.models:_is_async_gen_callable",
    "fastapi.dependencies.models:_is_coroutine_callable",
    "fastapi.dependencies.models:_is_gen_callable",
    "fastapi.dependencies.utils:_get_form_models",
    "fastapi.dependencies.utils:_get_param_aliases",
    "fastapi.dependencies.utils:_get_param_model",
    "fastapi.dependencies.utils:_is_json_field",
    "fastapi.dependencies.utils:_should_embed_body_fields",
    "fastapi.dependencies.utils:_solve_generator",
    "fastapi.dependencies.utils:request_body_to_args",
    "fastapi.dependencies.utils:request_params_to_args",
    "fastapi.middleware.asyncexitstack:AsyncExitStackMiddleware",
    "fastapi.routing:_EffectiveRouteContext",
    "fastapi.routing:_FASTAPI_SCOPE_KEY",
    "fastapi.routing:_IncludedRouter",
    "fastapi.routing:_build_response_args",
    "fastapi.routing:_extract_endpoint_context",
    "fastapi.routing:_resolve_form_limits",
    "fastapi.routing:get_request_handler",
    "fastapi.routing:request_response",
    "fastapi.routing:serialize_response",
    "starlette._exception_handler:wrap_app_handling_exceptions",
    "starlette._utils:get_route_path",
    "starlette._utils:is_async_callable",
    "starlette.middleware.body_limit:MAX_BODY_SIZE_SCOPE_KEY",
)

# What FastAPI's request handler closes over, which is all that it knows of its route.
HANDLER = frozenset({
    "actual_response_class", "actual_strict_content_type", "body_field", "dependant",
    "dependency_overrides_provider", "embed_body_fields", "form_limits", "is_body_form", "is_coroutine",
    "is_json_stream", "is_sse_stream", "response_class", "response_field", "response_model_by_alias",
    "response_model_exclude", "response_model_exclude_defaults", "response_model_exclude_none",
    "response_model_exclude_unset", "response_model_include", "status_code", "stream_item_field",
})  # fmt: skip

# Functions of fastapi.routing that tracing tools replace, to see every call.
REPLACED = ("run_endpoint_function", "serialize_response", "solve_dependencies")

# (module, global) that hold OpenTelemetry's providers; None while nobody has set one.
PROVIDERS = (
    ("opentelemetry.trace", "_TRACER_PROVIDER"),
    ("opentelemetry.metrics._internal", "_METER_PROVIDER"),
    ("opentelemetry._logs._internal", "_LOGGER_PROVIDER"),
)


def find(name: str) -> Any:
    """The object behind ``module:name``. Raises ImportError or AttributeError."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def missing(names: tuple[str, ...] = PRIVATE) -> list[str]:
    """Those of ``names`` that are not where they were."""
    found = []
    for name in names:
        try:
            find(name)
        except (ImportError, AttributeError):
            found.append(name)
    return found


def release() -> tuple[int, int]:
    """(major, minor) of the installed FastAPI."""
    numbers = re.findall(r"\d+", version("fastapi"))
    return int(numbers[0]), int(numbers[1])


def replaced() -> list[str]:
    """Those of FastAPI's functions in whose place there is another one now."""
    routing = importlib.import_module("fastapi.routing")
    files = (routing.__file__, importlib.import_module("fastapi.dependencies.utils").__file__)
    return [
        name
        for name in REPLACED
        if getattr(getattr(getattr(routing, name), "__code__", None), "co_filename", None) not in files
    ]


def obstacle() -> str:
    """Why this FastAPI cannot be compiled, in words; empty where it can."""
    installed = release()
    if not OLDEST <= installed <= NEWEST:
        known = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
        return f"FastAPI {version('fastapi')} is not one that freelane can compile ({known})"
    if moved := missing():
        return f"FastAPI {version('fastapi')} has moved {', '.join(moved)}"
    return ""
