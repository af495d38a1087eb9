"""FastAPI's private names, by names of our own: no other module of the adapters imports or reads one.

Imported with what uses them, after ``fastapi_gate`` had its say and ``older_fastapi`` filled in what an older
release has not.
"""

from __future__ import annotations

from typing import Any

from fastapi._compat import get_missing_field_error
from fastapi.dependencies.models import _get_cache_key as get_cache_key
from fastapi.dependencies.models import _get_oauth_scopes as get_oauth_scopes
from fastapi.dependencies.models import _is_async_gen_callable as is_async_gen_callable
from fastapi.dependencies.models import _is_coroutine_callable as is_coroutine_callable
from fastapi.dependencies.models import _is_gen_callable as is_gen_callable
from fastapi.dependencies.utils import _get_param_aliases as get_param_aliases
from fastapi.dependencies.utils import _get_param_model as get_param_model
from fastapi.dependencies.utils import _is_json_field as is_json_field
from fastapi.dependencies.utils import _should_embed_body_fields as should_embed_body_fields
from fastapi.dependencies.utils import _solve_generator as solve_generator
from fastapi.routing import _FASTAPI_SCOPE_KEY as FASTAPI_SCOPE_KEY
from fastapi.routing import _extract_endpoint_context as extract_endpoint_context

__all__ = [
    "FASTAPI_SCOPE_KEY", "extract_endpoint_context", "get_cache_key", "get_missing_field_error", "get_oauth_scopes",
    "get_param_aliases", "get_param_model", "is_async_gen_callable", "is_coroutine_callable", "is_gen_callable",
    "is_json_field", "should_embed_body_fields", "solve_generator", "telemetry_of", "type_adapter",
]  # fmt: skip


def type_adapter(field: Any) -> Any:
    """The pydantic TypeAdapter of a ``ModelField``."""
    return field._type_adapter


def telemetry_of(app: Any) -> Any:
    """What has an app's OpenTelemetry; None in releases that have none."""
    return getattr(app, "_native_telemetry", None)
