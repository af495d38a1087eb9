"""Starlette's private names, by names of our own: no other module of the adapters imports or reads one.

Imported with what uses them, after ``starlette_gate`` had its say.
"""

from __future__ import annotations

from typing import Any

from starlette._exception_handler import wrap_app_handling_exceptions
from starlette._utils import get_route_path, is_async_callable
from starlette.middleware.base import _CachedRequest as CachedRequest
from starlette.middleware.base import _StreamingResponse as StreamingResponse

__all__ = [
    "CachedRequest", "StreamingResponse", "get_route_path", "handlers_of", "is_async_callable", "wrap_app_handling_exceptions",
]  # fmt: skip


def handlers_of(layer: Any) -> Any:
    """What an ``ExceptionMiddleware`` leaves in the scope: its handlers by class and by status."""
    return layer._exception_handlers, layer._status_handlers
