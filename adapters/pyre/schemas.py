"""JSON Schema (2020-12) of type hints, for MCP tools and OpenAPI."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any, Literal

Schema = dict[str, Any]

PLAIN: dict[Any, Schema] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    set: {"type": "array"},
    frozenset: {"type": "array"},
    dict: {"type": "object"},
    bytes: {"type": "string", "format": "binary"},
    type(None): {"type": "null"},
    uuid.UUID: {"type": "string", "format": "uuid"},
    datetime.datetime: {"type": "string", "format": "date-time"},
    datetime.date: {"type": "string", "format": "date"},
    datetime.time: {"type": "string", "format": "time"},
    decimal.Decimal: {"type": "string"},
}


class Schemas:
    """Collects the schemas of models by name, which others refer to as ``prefix`` + name."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.models: dict[str, Schema] = {}

    def of(self, hint: Any, unknown: Schema | None = None) -> Schema:
        """The schema of values of ``hint``; ``unknown`` where nothing is known of it."""
        try:
            if hint in PLAIN:
                return dict(PLAIN[hint])
        except TypeError:
            return dict(unknown or {})
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            return {"anyOf": [self.of(argument) for argument in arguments]}
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin is typing.Annotated:
            return self.of(arguments[0], unknown)
        if origin in (list, set, frozenset, tuple):
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return {"enum": [member.value for member in hint]}
        if isinstance(hint, type) and hasattr(hint, "model_json_schema"):
            return self.model(hint.__name__, lambda: self.pydantic(hint))
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            return self.model(hint.__name__, lambda: self.dataclass(hint))
        if isinstance(hint, type) and hasattr(hint, "__struct_fields__"):
            return self.model(hint.__name__, lambda: self.struct(hint))
        return dict(unknown or {})

    def model(self, name: str, make: Callable[[], Schema]) -> Schema:
        if name not in self.models:
            self.models[name] = {}  # a model may refer to itself
            self.models[name] = make()
        return {"$ref": self.prefix + name}

    def pydantic(self, hint: Any) -> Schema:
        schema: Schema = hint.model_json_schema(ref_template=self.prefix + "{model}")
        for name, inner in schema.pop("$defs", {}).items():
            self.models.setdefault(name, inner)
        return schema

    def dataclass(self, hint: Any) -> Schema:
        hints = typing.get_type_hints(hint)
        required = [
            field.name
            for field in dataclasses.fields(hint)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ]
        return self.object(hint.__name__, {field.name: hints[field.name] for field in dataclasses.fields(hint)}, required)

    def struct(self, hint: Any) -> Schema:
        hints = typing.get_type_hints(hint)
        names = hint.__struct_fields__
        required = names[: len(names) - len(hint.__struct_defaults__)]
        return self.object(hint.__name__, {name: hints[name] for name in names}, list(required))

    def object(self, title: str, hints: dict[str, Any], required: list[str]) -> Schema:
        schema: Schema = {"title": title, "type": "object", "properties": {n: self.of(h) for n, h in hints.items()}}
        if required:
            schema["required"] = required
        return schema


def arguments_schema(function: Callable[..., Any]) -> Schema:
    """The schema of an object with ``function``'s arguments, as MCP wants it for a tool."""
    from freelane.adapters.pyre.injection import hints_of

    schemas = Schemas("#/$defs/")
    hints = hints_of(function)
    properties: dict[str, Schema] = {}
    required = []
    for name, item in inspect.signature(function).parameters.items():
        if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD) or name in ("self", "cls"):
            continue
        properties[name] = schemas.of(hints.get(name), {"type": "string"} if name not in hints else {})
        if item.default is inspect.Parameter.empty:
            required.append(name)
        elif item.default is None or isinstance(item.default, (str, int, float, bool)):
            properties[name]["default"] = item.default
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if schemas.models:
        schema["$defs"] = schemas.models
    return schema
