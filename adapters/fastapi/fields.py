"""Which parameters can be taken straight from the request, and the expression that does it."""

from __future__ import annotations

import copy
import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import params

from freelane.adapters.compat.fastapi_private import get_param_aliases, get_param_model, is_json_field, type_adapter

# Annotations whose values FastAPI takes from one string, the last of that name.
SCALARS = (
    str, int, float, bool, decimal.Decimal, uuid.UUID,
    datetime.datetime, datetime.date, datetime.time, datetime.timedelta, type(None),
)  # fmt: skip
CONSTANT = (str, int, float, bool, bytes, type(None), enum.Enum, uuid.UUID, decimal.Decimal, datetime.date)


@dataclass(frozen=True, slots=True)
class Step:
    """How one parameter is taken. ``validate`` is None where any ``str`` is valid as it is."""

    name: str
    alias: str
    validate: Callable[..., Any] | None
    required: bool
    default: Any
    copied: bool


def is_scalar(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return is_scalar(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return all(is_scalar(item) for item in typing.get_args(annotation))
    if origin is typing.Literal:
        return True
    return isinstance(annotation, type) and (annotation in SCALARS or issubclass(annotation, enum.Enum))


def is_free_text(field: Any) -> bool:
    """Whether every ``str`` passes the field's validation unchanged."""
    schema = type_adapter(field).core_schema
    while schema.get("type") in ("default", "nullable"):
        schema = schema["schema"]
    return schema["type"] == "str" and not schema.keys() - {"type", "metadata"}


def step(field: Any) -> Step | None:
    """The step of a path, query, header or cookie parameter; None where FastAPI must take it."""
    info = field.field_info
    if get_param_model(field) is not None or is_json_field(field) or not is_scalar(info.annotation):
        return None
    aliases = get_param_aliases(field)
    if len(aliases) != 1 or aliases[0][0] != aliases[0][1]:
        return None
    return make_step(field, aliases[0][1])


def body_step(field: Any) -> Step | None:
    """The step of a JSON body, or of one of its members."""
    aliases = get_param_aliases(field)
    if isinstance(field.field_info, params.Form) or len(aliases) != 1:
        return None
    return make_step(field, aliases[0][0], text=False)


def make_step(field: Any, alias: str, text: bool = True) -> Step | None:
    info = field.field_info
    if getattr(info, "validate_default", None):
        return None
    validate = None if text and is_free_text(field) else type_adapter(field).validator.validate_python
    if info.is_required():
        return Step(field.name, alias, validate, True, None, False)
    if info.default_factory is None and isinstance(info.default, CONSTANT):
        return Step(field.name, alias, validate, False, info.default, False)
    return Step(field.name, alias, validate, False, lambda: copy.deepcopy(field.default), True)


def without_effects(dependant: Any) -> bool:
    """Whether validating a function's own parameters again has the same outcome: none of the app's code takes part in it."""
    lists = (dependant.path_params, dependant.query_params, dependant.header_params, dependant.cookie_params,
             dependant.body_params)  # fmt: skip
    return not any(calls_code(type_adapter(field).core_schema) for found in lists for field in found)


def calls_code(schema: Any) -> bool:
    """Whether a pydantic-core schema names a function, other than for serialization."""
    stack, seen = [schema], set()
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            if part.get("post_init") or part.get("custom_init"):
                return True
            stack.extend(value for key, value in part.items() if key not in ("serialization", "metadata", "config"))
        elif isinstance(part, (list, tuple)):
            stack.extend(part)
        elif callable(part) and not isinstance(part, type):
            return True
    return False
