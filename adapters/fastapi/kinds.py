"""What a route's dependencies are, as far as it decides where they run."""

from __future__ import annotations

from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.security.base import SecurityBase

from freelane.adapters.compat import fastapi_gate
from freelane.adapters.compat.fastapi_private import is_async_gen_callable, is_coroutine_callable, is_gen_callable
from freelane.adapters.fastapi.handler import Handler, below


def yields(call: Any) -> bool:
    return is_gen_callable(call) or is_async_gen_callable(call)


def never_waits(call: Any) -> bool:
    """Whether ``call`` is one of FastAPI's security schemes, which are coroutine functions in form only."""
    kind = type(call)
    return isinstance(call, SecurityBase) and kind.__module__.startswith("fastapi.security.")


def runs_on(call: Any) -> str:
    """Where a dependency or an endpoint runs: on a "thread", on the "loop", or on "any" of them."""
    if never_waits(call):
        return "any"
    return "loop" if is_async_gen_callable(call) or is_coroutine_callable(call) else "thread"


def needs_loop(handler: Handler) -> bool:
    """Whether some step of the route has to run on the event loop."""
    return handler.is_coroutine or handler.is_body_form or any(runs_on(sub.call) == "loop" for sub in handler.calls())


def opens(handler: Handler) -> bool:
    """Whether some dependency is closed again."""
    return any(yields(sub.call) for sub in handler.calls())


def opens_inside(handler: Handler) -> bool:
    """Whether some dependency is closed before the response is sent."""
    return any(yields(sub.call) and sub.scope == "function" for sub in handler.calls())


def shows_request(handler: Handler) -> bool:
    """Whether some code of the app's gets the request."""
    return any(
        (dependant.request_param_name or dependant.http_connection_param_name) and not never_waits(dependant.call)
        for dependant in (handler.dependant, *handler.calls())
    )


def leaves_stacks(handler: Handler) -> bool:
    """Whether some code of the app's may look for FastAPI's exit stacks in the scope of its request."""
    return shows_request(handler) and fastapi_gate.in_scope(handler.original)


def can_fail(dependant: Dependant) -> bool:
    return any(
        node.path_params or node.query_params or node.header_params or node.cookie_params or node.body_params
        for node in (dependant, *below(dependant))
    )
