"""Parameters of handlers filled from the request by their names and type hints.

Everything about a handler's signature is worked out when it is registered; a request only
runs the plan.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from freelane.adapters.pyre.exceptions import InvalidValue
from freelane.adapters.pyre.requests import PyreRequest

Cast = Callable[[str], Any]
Source = Callable[[PyreRequest], Any]

MISSING = inspect.Parameter.empty
REQUEST_NAMES = ("req", "request")


class Parameter(NamedTuple):
    """Where one parameter of a handler comes from; ``where`` is request, path, query or body."""

    name: str
    where: Literal["request", "path", "query", "body"]
    hint: Any
    default: Any
    source: Source


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Resolved annotations; as written where they cannot be resolved."""
    target = function if inspect.isroutine(function) or inspect.isclass(function) else type(function).__call__
    try:
        return typing.get_type_hints(target, include_extras=False)
    except Exception:
        return dict(getattr(target, "__annotations__", {}))


def unwrap_optional(hint: Any) -> tuple[Any, bool]:
    """The type inside ``X | None``, and whether there was a None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        if len(inner) < len(typing.get_args(hint)):
            return (inner[0] if len(inner) == 1 else typing.Union[tuple(inner)]), True  # noqa: UP007
    return hint, False


def is_model(hint: Any) -> bool:
    """Whether a body of this type is checked by pydantic, a dataclass or msgspec."""
    return isinstance(hint, type) and (
        hasattr(hint, "model_validate_json") or dataclasses.is_dataclass(hint) or hasattr(hint, "__struct_fields__")
    )


# -- casts of text


def to_bool(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in ("1", "true", "yes", "on", "y", "t"):
        return True
    if lowered in ("0", "false", "no", "off", "n", "f"):
        return False
    raise ValueError


def to_int(text: str) -> int:
    # int() also takes "1_000" and digits of other scripts.
    if not text.isascii() or "_" in text:
        raise ValueError
    return int(text)


def to_float(text: str) -> float:
    value = float(text)
    if "_" in text or value != value or value in (float("inf"), float("-inf")):
        raise ValueError
    return value


def to_decimal(text: str) -> decimal.Decimal:
    try:
        value = decimal.Decimal(text)
    except decimal.InvalidOperation:
        raise ValueError from None
    if not value.is_finite():
        raise ValueError
    return value


CASTS: dict[Any, tuple[Cast, str]] = {
    int: (to_int, "a whole number"),
    float: (to_float, "a number"),
    bool: (to_bool, "true or false"),
    uuid.UUID: (uuid.UUID, "a UUID"),
    datetime.datetime: (datetime.datetime.fromisoformat, "a date and time in ISO 8601 form"),
    datetime.date: (datetime.date.fromisoformat, "a date such as 2024-01-31"),
    datetime.time: (datetime.time.fromisoformat, "a time such as 12:30"),
    decimal.Decimal: (to_decimal, "a decimal number"),
}


def cast_of(hint: Any) -> tuple[Cast | None, str] | None:
    """How text becomes a value of ``hint``, and what is expected in words; None where text cannot."""
    if hint in (MISSING, str, Any, object):
        return None, "text"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return enum_cast(hint)
    if typing.get_origin(hint) is Literal:
        return literal_cast(typing.get_args(hint))
    try:
        return CASTS.get(hint)
    except TypeError:  # an annotation that cannot be hashed
        return None


def enum_cast(kind: type[enum.Enum]) -> tuple[Cast, str]:
    members = {str(member.value): member for member in kind}
    return members_cast(members)


def literal_cast(values: Sequence[Any]) -> tuple[Cast, str]:
    return members_cast({str(value): value for value in values})


def members_cast(members: dict[str, Any]) -> tuple[Cast, str]:
    def cast(text: str) -> Any:
        try:
            return members[text]
        except KeyError:
            raise ValueError from None

    return cast, "one of " + ", ".join(members)


# -- sources


def path_source(name: str, cast: Cast | None, expected: str) -> Source:
    if cast is None:
        return lambda request: request.params[name]

    def source(request: PyreRequest) -> Any:
        text = request.params[name]
        if type(text) is not str:  # {name:int} in the path made a value of it
            return text
        try:
            return cast(text)
        except (ValueError, OverflowError):
            raise InvalidValue("path", name, f"must be {expected}, not {shown(text)}") from None

    return source


def query_source(name: str, cast: Cast | None, expected: str, default: Any) -> Source:
    def source(request: PyreRequest) -> Any:
        text = request.query_params.get(name)
        if text is None:
            if default is MISSING:
                raise InvalidValue("query", name, "is required")
            return default
        if cast is None:
            return text
        try:
            return cast(text)
        except (ValueError, OverflowError):
            raise InvalidValue("query", name, f"must be {expected}, not {shown(text)}") from None

    return source


def list_source(name: str, kind: type, cast: Cast | None, expected: str, default: Any) -> Source:
    def source(request: PyreRequest) -> Any:
        texts = [value for key, value in request.query_pairs if key == name]
        if not texts:
            if default is MISSING:
                raise InvalidValue("query", name, "is required")
            return default
        if cast is None:
            return kind(texts)
        try:
            return kind(cast(text) for text in texts)
        except (ValueError, OverflowError):
            raise InvalidValue("query", name, f"each must be {expected}") from None

    return source


def shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def body_source(name: str, hint: Any, default: Any) -> Source:
    from freelane.adapters.pyre.models import loader

    load = loader(hint)

    def source(request: PyreRequest) -> Any:
        if not request.body and default is not MISSING:
            return default
        return load(name, request)

    return source


# -- the plan


def plan(function: Callable[..., Any], path_names: Sequence[str]) -> list[Parameter]:
    """Where each parameter of ``function`` comes from, in order.

    The request: a parameter hinted ``PyreRequest``, one without a hint named ``req`` or
    ``request``, or else the first one, if it has neither hint nor default and is no path
    parameter. A name of the path: the path. A model, dataclass, msgspec struct or ``dict``:
    the body's JSON; ``bytes``: the body. All others: the query string. Raises TypeError for
    a hint that none of these can fill.
    """
    hints = hints_of(function)
    parameters: list[Parameter] = []
    for index, item in enumerate(inspect.signature(function).parameters.values()):
        if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD):
            continue
        hint, optional = unwrap_optional(hints.get(item.name, MISSING))
        default = None if optional and item.default is MISSING else item.default
        parameters.append(parameter(item.name, hint, default, index, path_names))
    if sum(found.where == "body" for found in parameters) > 1:
        raise TypeError(f"{name_of(function)}: only one parameter can be the body")
    return parameters


def parameter(name: str, hint: Any, default: Any, index: int, path_names: Sequence[str]) -> Parameter:
    if isinstance(hint, type) and issubclass(hint, PyreRequest):
        return Parameter(name, "request", hint, default, lambda request: request)
    if name in path_names:
        found = cast_of(hint)
        if found is None:
            raise TypeError(f"path parameter '{name}' cannot be of type {hint!r}")
        return Parameter(name, "path", hint, default, path_source(name, *found))
    if hint in (MISSING, Any) and (name in REQUEST_NAMES or (hint is MISSING and index == 0 and default is MISSING)):
        return Parameter(name, "request", hint, default, lambda request: request)
    if hint is bytes:
        return Parameter(name, "body", hint, default, lambda request: request.body)
    if is_model(hint) or hint is dict or typing.get_origin(hint) is dict:
        return Parameter(name, "body", hint, default, body_source(name, hint, default))
    origin = typing.get_origin(hint) or hint
    if origin in (list, set, tuple, frozenset):
        arguments = [arg for arg in typing.get_args(hint) if arg is not Ellipsis]
        inner = arguments[0] if arguments else str
        if is_model(inner):
            return Parameter(name, "body", hint, default, body_source(name, hint, default))
        found = cast_of(inner)
        if found is not None:
            return Parameter(name, "query", hint, default, list_source(name, origin, *found, default))
    found = cast_of(hint)
    if found is None:
        raise TypeError(
            f"parameter '{name}' of type {hint!r} cannot be filled: use str, int, float, bool, UUID, date, datetime, "
            "Decimal, an Enum, a Literal, a list of one of them, a model, a dataclass, dict or bytes"
        )
    return Parameter(name, "query", hint, default, query_source(name, *found, default))


def name_of(function: Any) -> str:
    return getattr(function, "__qualname__", type(function).__name__)


def caller(function: Callable[..., Any], parameters: Sequence[Parameter]) -> Callable[[PyreRequest], Any]:
    """``call(request)``, which calls ``function`` with its parameters filled."""
    if len(parameters) == 1 and parameters[0].where == "request":
        return function
    if not parameters:
        return lambda request: function()
    names = [item.name for item in parameters]
    sources = [item.source for item in parameters]
    keyword_only = {item.name for item in inspect.signature(function).parameters.values() if item.kind is item.KEYWORD_ONLY}
    if keyword_only:
        positional = [(name, source) for name, source in zip(names, sources) if name not in keyword_only]
        named = [(name, source) for name, source in zip(names, sources) if name in keyword_only]
        return lambda request: function(
            *[source(request) for _, source in positional], **{name: source(request) for name, source in named}
        )
    if len(sources) == 1:
        only = sources[0]
        return lambda request: function(only(request))
    if len(sources) == 2:
        first, second = sources
        return lambda request: function(first(request), second(request))
    return lambda request: function(*[source(request) for source in sources])
