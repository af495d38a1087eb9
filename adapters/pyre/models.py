"""Bodies checked by pydantic, msgspec or a dataclass's type hints."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from typing import Any

from freelane.adapters.pyre.exceptions import InvalidValue
from freelane.adapters.pyre.requests import PyreRequest

Loader = Callable[[str, PyreRequest], Any]


def require_pydantic(what: str) -> Any:
    try:
        import pydantic
    except ImportError:
        raise ImportError(f"{what} needs pydantic: install 'freelane[pyre]'") from None
    return pydantic


def loader(hint: Any) -> Loader:
    """``load(name, request)``: the body as a value of ``hint``. Raises InvalidValue."""
    if hint is dict:
        return load_object
    if hasattr(hint, "__struct_fields__"):
        return struct_loader(hint)
    if hasattr(hint, "model_validate_json"):
        return pydantic_loader(hint.model_validate_json)
    try:
        pydantic = require_pydantic(f"a body of type {hint!r}")
    except ImportError:
        if dataclasses.is_dataclass(hint):
            return dataclass_loader(typing.cast(type, hint))
        raise
    return pydantic_loader(pydantic.TypeAdapter(hint).validate_json)


def load_object(name: str, request: PyreRequest) -> Any:
    value = load_json(name, request)
    if not isinstance(value, dict):
        raise InvalidValue("body", name, "must be a JSON object")
    return value


def load_json(name: str, request: PyreRequest) -> Any:
    try:
        return request.json()
    except ValueError as exc:
        raise InvalidValue("body", name, str(exc)) from None


def pydantic_loader(validate: Callable[[bytes], Any]) -> Loader:
    def load(name: str, request: PyreRequest) -> Any:
        try:
            return validate(request.body)
        except ValueError as exc:
            errors = getattr(exc, "errors", None)
            if errors is None:
                raise
            found = errors(include_url=False, include_context=False, include_input=False)
            where = ".".join(str(part) for part in found[0]["loc"])
            message = f"{where}: {found[0]['msg']}" if where else found[0]["msg"]
            raise InvalidValue("body", name, message, found) from None

    return load


def struct_loader(hint: Any) -> Loader:
    import msgspec

    decoder = msgspec.json.Decoder(hint)

    def load(name: str, request: PyreRequest) -> Any:
        try:
            return decoder.decode(request.body)
        except msgspec.DecodeError as exc:  # ValidationError is one
            raise InvalidValue("body", name, str(exc)) from None

    return load


def dataclass_loader(hint: type) -> Loader:
    """Without pydantic only the names of a dataclass's fields and their plain types are checked."""
    fields = {field.name: field for field in dataclasses.fields(hint)}
    hints = typing.get_type_hints(hint)

    def load(name: str, request: PyreRequest) -> Any:
        value = load_object(name, request)
        for key, item in value.items():
            if key not in fields:
                raise InvalidValue("body", name, f"{key}: there is no such field")
            kind = hints[key]
            if kind in (str, int, float, bool, list, dict) and not fits(item, kind):
                raise InvalidValue("body", name, f"{key}: must be a {kind.__name__}")
        try:
            return hint(**value)
        except (TypeError, ValueError) as exc:
            raise InvalidValue("body", name, str(exc)) from None

    return load


def fits(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def with_model(function: Callable[..., Any], model: Any, parameters: int) -> Callable[[PyreRequest], Any]:
    """Pyre's ``model=``: ``function(req, data)``, or ``function(data)`` if it takes one parameter.

    A body that does not fit is answered as Pyre does, with 422 and the error as plain text.
    """
    if not hasattr(model, "model_validate_json"):
        load = loader(model)
        if parameters >= 2:
            return lambda request: function(request, load("data", request))
        return lambda request: function(load("data", request))
    validate = model.model_validate_json

    def validated(request: PyreRequest) -> Any:
        try:
            return validate(request.body)
        except ValueError as exc:
            raise ModelError(str(exc)) from None

    if parameters >= 2:
        return lambda request: function(request, validated(request))
    return lambda request: function(validated(request))


class ModelError(Exception):
    """A body does not fit the ``model=`` of its route."""
