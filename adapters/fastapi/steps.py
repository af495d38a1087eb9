"""What compiled handlers call while they run: each step is FastAPI's own, or gives what it gives."""

from __future__ import annotations

import email.message
import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args
from fastapi.exceptions import RequestValidationError
from pydantic_core import PydanticUndefined as Undefined
from pydantic_core import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from freelane.adapters.compat import older_fastapi
from freelane.adapters.compat.fastapi_private import extract_endpoint_context, solve_generator
from freelane.adapters.coroutines import finish
from freelane.adapters.starlette.plan import Delegate
from freelane.adapters.starlette.threads import on_executor
from freelane.fastcore.json.plain import loads
from freelane.fastcore.threads.executor import ExecutorFull

# What an empty body is to FastAPI's own functions.
EMPTY_BODY = older_fastapi.empty_body()
NAMES_PLACES = older_fastapi.names_places()
NAMES_URLS = older_fastapi.names_urls()
GENERATORS_GET_REQUEST = "request" in inspect.signature(solve_generator).parameters


async def in_thread(function: Callable[..., Any], /, *args: Any, **arguments: Any) -> Any:
    """``run_in_threadpool`` on freelane's threads; 503 when too many wait for one."""
    try:
        return await on_executor(function, *args, **arguments)
    except ExecutorFull:
        raise HTTPException(503, headers={"retry-after": "1"}) from None


def injected_response() -> Response:
    """The ``Response`` that endpoints and dependencies may ask for, as solve_dependencies makes it."""
    response = Response()
    del response.headers["content-length"]
    response.status_code = None  # type: ignore[assignment]
    return response


def parse_body(request: Any, body: bytes, strict: bool) -> Any:
    """The JSON of a request body; Undefined for an empty one. Raises Delegate for anything else."""
    if not body:
        return Undefined
    kind = request.headers.get("content-type")
    if not (is_json(kind) if kind else not strict):
        raise Delegate
    try:
        found = loads(body)
    except Exception:
        raise Delegate from None
    if found is None and EMPTY_BODY is None:
        raise Delegate
    return found


@lru_cache(maxsize=256)
def is_json(content_type: str) -> bool:
    """As FastAPI decides it (RFC 6839, 3.1: the ``+json`` suffix)."""
    message = email.message.Message()
    message["content-type"] = content_type
    if message.get_content_maintype() != "application":
        return False
    subtype = message.get_content_subtype()
    return subtype == "json" or subtype.endswith("+json")


def keep_body(request: Any, body: bytes, data: Any) -> None:
    """Leave the request as one whose body was read, for code that reads it again."""
    request._body = body
    request._stream_consumed = True
    if data is not Undefined:
        request._json = data


def own_arguments(dependant: Dependant, embed: bool) -> Callable[[Any, Any], tuple[dict[str, Any], list[Any]]]:
    """``(request, body) -> (values, errors)`` of one dependant's own parameters, by FastAPI's functions."""

    def arguments(request: Any, body: Any) -> tuple[dict[str, Any], list[Any]]:
        values: dict[str, Any] = {}
        errors: list[Any] = []
        for fields, received in (
            (dependant.path_params, "path_params"),
            (dependant.query_params, "query_params"),
            (dependant.header_params, "headers"),
            (dependant.cookie_params, "cookies"),
        ):
            if fields:
                found, wrong = request_params_to_args(fields, getattr(request, received))
                values.update(found)
                errors += wrong
        if dependant.body_params:
            found, wrong = finish(
                request_body_to_args(
                    body_fields=dependant.body_params,
                    received_body=EMPTY_BODY if body is Undefined else body,
                    embed_body_fields=embed,
                )
            )
            values.update(found)
            errors += wrong
        return values, errors

    return arguments


def own_form_arguments(dependant: Dependant, embed: bool) -> Callable[[Any, Any], Any]:
    """As ``own_arguments`` where the body is a form, whose files may have to be waited for."""
    own = own_arguments(Dependant(
        path_params=dependant.path_params, query_params=dependant.query_params,
        header_params=dependant.header_params, cookie_params=dependant.cookie_params,
    ), embed)  # fmt: skip

    async def arguments(request: Any, body: Any) -> tuple[dict[str, Any], list[Any]]:
        values, errors = own(request, body)
        found, wrong = await request_body_to_args(
            body_fields=dependant.body_params, received_body=body, embed_body_fields=embed
        )
        values.update(found)
        return values, errors + wrong

    return arguments


async def enter_generator(request: Any, dependant: Dependant, function_scope: bool, values: dict[str, Any]) -> Any:
    """What a dependency with ``yield`` yields; FastAPI's exit stacks, which are in the scope, close it."""
    key = "fastapi_function_astack" if function_scope else "fastapi_inner_astack"
    stack = request.scope[key]
    more = {"request": request} if GENERATORS_GET_REQUEST else {}
    return await solve_generator(dependant=dependant, stack=stack, sub_values=values, **more)


def endpoint_context(dependant: Dependant) -> Callable[[Any], Any]:
    """``request -> EndpointContext``, which FastAPI's errors show in the log."""

    def context(request: Any) -> Any:
        found = extract_endpoint_context(dependant.call) if dependant.call else {}
        if dependant.path:
            mount_path = request.scope.get("root_path", "").rstrip("/")
            found["path"] = f"{request.method} {mount_path}{dependant.path}"
        return found

    return context


def located(exc: ValidationError, place: tuple[str, ...]) -> list[Any]:
    """The errors of one parameter, which was found at ``place``, as FastAPI lists them."""
    return [{**error, "loc": place + error.get("loc", ())} for error in exc.errors(include_url=NAMES_URLS)]


def invalid(context: Callable[[Any], Any], request: Any, errors: list[Any], body: Any) -> RequestValidationError:
    """What FastAPI raises for a request that does not fit."""
    where = {"endpoint_ctx": context(request)} if NAMES_PLACES else {}
    return RequestValidationError(errors, body=None if body is Undefined else body, **where)
