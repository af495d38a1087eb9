"""Compile one FastAPI route."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, NoReturn

from fastapi.routing import request_response
from starlette.exceptions import HTTPException

from freelane.adapters.compat import fastapi_gate
from freelane.adapters.compat.fastapi_private import FASTAPI_SCOPE_KEY, is_coroutine_callable
from freelane.adapters.compat.versions import find_optional, own, replaced, watch
from freelane.adapters.fastapi.codegen import Writer
from freelane.adapters.fastapi.handler import Handler, NotCovered, read
from freelane.adapters.fastapi.kinds import leaves_stacks, needs_loop, opens
from freelane.adapters.fastapi.opened import Opened
from freelane.adapters.fastapi.responses import is_json, renderer
from freelane.adapters.fastapi.steps import endpoint_context
from freelane.adapters.starlette.answers import CALLS_TASKS
from freelane.adapters.starlette.plan import Delegate, Later, Plan
from freelane.fastcore.routing.guard import Guard

logger = logging.getLogger("freelane.error")

resolve_form_limits = find_optional("fastapi.routing:_resolve_form_limits")
get_body_limit_error = find_optional("fastapi._body_limit:get_body_limit_error")
BODY_LIMIT_KEY = find_optional("starlette.middleware.body_limit:MAX_BODY_SIZE_SCOPE_KEY")

# It only tells OpenTelemetry, which has every request go FastAPI's own way.
CALLS_TASKS.add(own("fastapi.background:BackgroundTasks.__call__"))


def make_plan(app: Any) -> Plan:
    """The plan of a route whose ASGI app is ``app``."""
    try:
        handler = read(app)
    except NotCovered as exc:
        return Plan(app, compiled=False, reason=str(exc))
    names = stands_for(handler)
    if changed := replaced(names):
        return Plan(app, compiled=False, reason=f"{', '.join(changed)}, which FastAPI's own code uses, was replaced")
    body = handler.body_field is not None
    guard = made_of(handler, names)
    leaves = leaves_stacks(handler)
    opened = Opened if leaves or opens(handler) else None
    if handler.is_body_form:
        return Plan(in_layers(handler, written(handler, "stacks")), guard=guard)
    on_loop = written(handler, "loop")
    if opens(handler):
        in_stacks = written(handler, "stacks")
    else:
        in_stacks = Later(lambda: without_opened(on_loop.made())) if leaves else on_loop
    inside = in_layers(handler, in_stacks)
    if needs_loop(handler):
        return Plan(inside, on_loop, body=body, guard=guard, opened=opened)
    return Plan(inside, written(handler, "thread"), "free", body, guard=guard, opened=opened)


def written(handler: Handler, kind: Literal["thread", "loop", "stacks"]) -> Later:
    """The handler as code, written for the first request that needs it: most of a big app's routes wait long for one."""
    return Later(partial(write, handler, kind))


def write(handler: Handler, kind: Literal["thread", "loop", "stacks"]) -> Callable[..., Any]:
    try:
        return Writer(handler, renderer(handler, endpoint_context(handler.dependant)), kind).write()
    except Exception as exc:
        logger.warning("%s is served by FastAPI's own code: %s: %s.", handler.dependant.path, type(exc).__name__, exc)
        return delegate if kind == "thread" else adelegate


def delegate(*args: Any) -> NoReturn:
    raise Delegate


async def adelegate(*args: Any) -> NoReturn:
    raise Delegate


def without_opened(call: Callable[..., Any]) -> Callable[..., Any]:
    """``call`` for a request in whose scope FastAPI's exit stacks are."""

    async def inside(request: Any, *body: bytes) -> Any:
        return await call(request, None, *body)

    return inside


def stands_for(handler: Handler) -> tuple[str, ...]:
    """The names that FastAPI would use for this route, where the plan does their work."""
    names: tuple[str, ...] = fastapi_gate.ENDPOINT
    if not all(is_coroutine_callable(node.call) for node in (handler.dependant, *handler.calls())):
        names += fastapi_gate.THREADS
    if handler.body_field is not None and not handler.is_body_form:
        names += fastapi_gate.READS_JSON
    return names + (fastapi_gate.WRITES_JSON if is_json(handler) or handler.response_field is None else ())


def made_of(handler: Handler, names: Iterable[str]) -> Guard:
    """Marks of the functions and parameters that the handler was generated from."""
    nodes = [handler.dependant, *handler.calls()]
    lists = ("dependencies", "path_params", "query_params", "header_params", "cookie_params", "body_params")
    return Guard(
        attributes=[(node, "call", node.call) for node in nodes],
        sizes=[(found := getattr(node, name), len(found)) for node in nodes for name in lists],
        watches=[watch(names)],
    )


def in_layers(handler: Handler, call: Later) -> Later:
    """The compiled handler as an ASGI app, for a request that came through the app's own layers."""
    return Later(lambda: request_response(inside_layers(handler, call.made())))


def inside_layers(handler: Handler, call: Callable[..., Any]) -> Callable[[Any], Any]:
    original, overrides = handler.original, handler.overrides

    async def without_body(request: Any) -> Any:
        try:
            return await call(request)
        except Delegate:
            return await original(request)

    async def with_body(request: Any) -> Any:
        try:
            return await call(request, await read_body(request))
        except Delegate:
            return await original(request)

    async def with_form(request: Any) -> Any:
        if overrides is not None and overrides.dependency_overrides:
            return await original(request)
        try:
            return await call(request, await read_form(request, handler.form_limits))
        except Delegate:
            return await original(request)

    if handler.is_body_form:
        return with_form
    return with_body if handler.body_field else without_body


async def read_body(request: Any) -> bytes:
    """The body of a request; FastAPI's errors for one that cannot be read."""
    try:
        body: bytes = await request.body()
    except HTTPException:
        raise
    except Exception as exc:
        raise unreadable(request.scope, exc) from exc
    return body


async def read_form(request: Any, limits: Any) -> Any:
    """The form of a request, closed with it; FastAPI's errors for one that cannot be read."""
    scope = request.scope
    inherited = scope.get(FASTAPI_SCOPE_KEY, {})
    try:
        form = await request.form(**(resolve_form_limits(inherited, limits) if resolve_form_limits else {}))
        scope["fastapi_middleware_astack"].push_async_callback(form.close)
    except HTTPException:
        raise
    except Exception as exc:
        raise unreadable(scope, exc) from exc
    return form


def unreadable(scope: Any, exc: Exception) -> Exception:
    """What FastAPI makes of an error in reading a body."""
    if get_body_limit_error and BODY_LIMIT_KEY in scope and (error := get_body_limit_error(exc)):
        return error  # type: ignore[no-any-return]
    return HTTPException(400, "There was an error parsing the body")
