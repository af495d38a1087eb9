"""What an endpoint returned, as a response: FastAPI's serialization with its choices made at start."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import ResponseValidationError
from fastapi.responses import JSONResponse
from fastapi.utils import is_body_allowed_for_status_code
from pydantic import ValidationError
from pydantic_core import SchemaSerializer, to_json
from starlette.responses import Response

from freelane.adapters.compat import older_fastapi
from freelane.adapters.compat.fastapi_private import type_adapter
from freelane.adapters.compat.versions import find_optional
from freelane.adapters.fastapi.handler import Handler
from freelane.adapters.fastapi.shapes import shape_of
from freelane.adapters.fastapi.steps import located
from freelane.fastcore.json.plain import plain_text

NAMES_PLACES = older_fastapi.names_places()

# What starlette.responses.JSONResponse.render makes a new one of for every response.
encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Ready(Response):
    """A response whose status, headers and body are known; nothing is worked out again."""

    background = None

    def __init__(self, status_code: int, raw_headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code = status_code
        self.raw_headers = raw_headers
        self.body = body


# (request, what the endpoint returned, background tasks, injected response) -> response
Render = Callable[[Any, Any, Any, Any], Response]


def renderer(handler: Handler, endpoint_context: Callable[[Any], Any]) -> Render:
    """The last step of a plan."""
    serialize = serializer(handler, endpoint_context)
    content = json_content(handler, serialize) if is_json(handler) else None
    status_code = handler.status_code
    response_class: Callable[..., Response] = handler.response_class
    if handler.default_class and handler.response_field is not None:
        response_class = json_bytes_response
    headers = json_headers(status_code or 200)

    def render(request: Any, value: Any, background: Any, injected: Any) -> Response:
        if isinstance(value, Response):
            if value.background is None:
                value.background = background
            return value
        if injected is None and background is None and content is not None and headers is not None:
            body = content(request, value)
            return Ready(status_code or 200, [(b"content-length", b"%d" % len(body)), headers], body)
        solved = SimpleNamespace(background_tasks=background, response=injected or NOTHING)
        arguments = response_arguments(status_code=status_code, solved_result=solved)
        response = response_class(serialize(request, value), **arguments)
        if not is_body_allowed_for_status_code(response.status_code):
            response.body = b""
        if injected is not None:
            response.headers.raw.extend(injected.headers.raw)
        return response

    return render


def older_arguments(*, status_code: int | None, solved_result: Any) -> dict[str, Any]:
    """What a response is made with; a part of its handler in older FastAPI."""
    arguments: dict[str, Any] = {"background": solved_result.background_tasks}
    chosen = solved_result.response.status_code or status_code
    if chosen is not None:
        arguments["status_code"] = chosen
    return arguments


response_arguments: Any = find_optional("fastapi.routing:_build_response_args") or older_arguments
NOTHING = SimpleNamespace(status_code=None)


def is_json(handler: Handler) -> bool:
    """Whether the response is JSON as FastAPI makes it by itself."""
    return handler.response_class is JSONResponse


def json_headers(status_code: int) -> tuple[bytes, bytes] | None:
    """The header after Content-Length; None for a status that has another set of headers."""
    sample = Response(b"", status_code, media_type="application/json")
    if is_body_allowed_for_status_code(status_code) and [name for name, _ in sample.raw_headers] == [
        b"content-length",
        b"content-type",
    ]:
        return sample.raw_headers[1]
    return None


def json_bytes_response(content: bytes, **arguments: Any) -> Response:
    return Response(content, media_type="application/json", **arguments)


def json_content(handler: Handler, serialize: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bytes]:
    """``(request, value) -> body`` for a JSON response."""
    if handler.response_field is not None:
        return serialize if handler.default_class else shaped(handler, lambda *given: encode(serialize(*given)).encode("utf-8"))

    def content(request: Any, value: Any) -> bytes:
        text = plain_text(value, True)
        return encode(jsonable_encoder(value)).encode("utf-8") if text is None else text

    return content


def serializer(handler: Handler, endpoint_context: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """``(request, value) -> content``, as ``fastapi.routing.serialize_response``."""
    field, dump = handler.response_field, handler.dump
    if field is None:
        return lambda request, value: jsonable_encoder(value)
    validate = type_adapter(field).validator.validate_python
    write = field.serialize_json if handler.default_class else field.serialize

    def serialize(request: Any, value: Any) -> Any:
        try:
            checked = validate(value, from_attributes=True)
        except ValidationError as exc:
            where = {"endpoint_ctx": endpoint_context(request)} if NAMES_PLACES else {}
            errors = located(exc, ("response",))
            raise ResponseValidationError(errors=errors, body=value, **where) from None
        return write(checked, **dump)

    return shaped(handler, serialize) if handler.default_class else serialize


def shaped(handler: Handler, rest: Callable[[Any, Any], bytes]) -> Callable[[Any, Any], bytes]:
    """``rest``, which gives the JSON of a value of the response model, with a shorter way where the value allows it."""
    flags = {name: handler.dump[name] for name in ("by_alias", "exclude_none", "exclude_unset")}
    schema = field_schema(handler.response_field)
    write: Callable[..., bytes] = pydantic_text if handler.default_class else library_text
    exponents = to_json if handler.default_class else None
    shape = None if schema is None else shape_of(schema, handler.dump, lambda *found: write(*found, flags), exponents)
    if shape is None:
        return rest
    text = shape.text

    def written(request: Any, value: Any) -> bytes:
        body = text(value)
        return rest(request, value) if body is None else body

    return written


def field_schema(field: Any) -> Any:
    """The core schema of a response field; None where more than that decides."""
    return type_adapter(field).core_schema if getattr(field, "config", None) is None else None


def pydantic_text(serializer: SchemaSerializer, value: Any, flags: dict[str, Any]) -> bytes:
    return serializer.to_json(value, warnings="error", **flags)


def library_text(serializer: SchemaSerializer, value: Any, flags: dict[str, Any]) -> bytes:
    return encode(serializer.to_python(value, mode="json", warnings="error", **flags)).encode("utf-8")
