"""Which response models can be written without pydantic's instances in between, read from their core schema.

Only where nothing but the JSON text can come of validating and serializing: no code of the app's, no
configuration that changes either, nothing recursive. Everything else is validated and serialized
by pydantic as ever, and so is every value that is not of the declared types already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_core import SchemaError, SchemaSerializer, SchemaValidator

from freelane.adapters.fastapi.fields import calls_code
from freelane.fastcore.json.plain import plain_text
from freelane.fastcore.json.shape import UNSET, Member, Shape

# Keys of a schema that say nothing about its values.
SAID = frozenset({"type", "metadata", "ref"})
LEAVES = frozenset({"str", "int", "float", "bool", "none", "any"})
# Other types that pydantic's own code is asked for, value by value.
OTHERS = frozenset({
    "str", "int", "float", "bool", "none", "bytes", "date", "time", "datetime", "timedelta", "uuid", "decimal", "enum",
    "literal", "url", "multi-host-url", "union", "nullable", "list", "tuple", "set", "frozenset", "dict",
})  # fmt: skip
CONFIG = frozenset(
    {"title", "from_attributes", "frozen", "validate_assignment", "hide_input_in_errors", "extra_fields_behavior"}
)
MODEL = SAID | {"cls", "schema", "config", "custom_init", "root_model", "generic_origin"}
FIELDS = SAID | {"fields", "model_name", "computed_fields"}
FIELD = SAID | {"schema", "validation_alias", "serialization_alias", "serialization_exclude", "frozen"}
DEFAULT = SAID | {"schema", "default", "default_factory", "default_factory_takes_data", "copy_default"}


class NotPlain(Exception):
    """A schema whose values pydantic has to write."""


def shape_of(
    schema: Any, dump: dict[str, Any], write: Callable[[SchemaSerializer, Any], bytes], exponents: Any
) -> Shape | None:
    """The shape of a core schema whose values FastAPI serializes with ``dump``; None where pydantic has to.

    ``write(serializer, value)`` gives the JSON text of a value, ``exponents(value)`` that of a float whose ``repr``
    has an exponent, None if that is it.
    """
    if dump["include"] is not None or dump["exclude"] is not None or dump["exclude_defaults"]:
        return None
    try:
        return Maker(dump, write, exponents).make(schema)
    except (NotPlain, LookupError, SchemaError):
        return None


class Maker:
    """Makes the shapes of one response model."""

    def __init__(self, dump: dict[str, Any], write: Callable[[SchemaSerializer, Any], bytes], exponents: Any) -> None:
        self.dump = dump
        self.write = write
        self.exponents = exponents
        self.definitions: dict[str, Any] = {}
        self.open: list[str] = []

    def make(self, schema: Any) -> Shape:
        kind = schema["type"]
        if kind == "definitions":
            self.definitions.update((found["ref"], found) for found in schema["definitions"])
            return self.make(schema["schema"])
        if kind == "definition-ref":
            return self.referred(schema)
        if kind == "model":
            return self.model(schema)
        if kind in LEAVES and not schema.keys() - SAID:
            return Shape.leaf(kind, self.exponents)
        if kind == "nullable" and not schema.keys() - SAID - {"schema"}:
            return Shape.around("nullable", self.make(schema["schema"]))
        if kind == "list" and not schema.keys() - SAID - {"items_schema"}:
            return Shape.around("list", self.make(schema.get("items_schema", {"type": "any"})))
        if (
            kind == "dict"
            and schema.get("keys_schema", {}) == {"type": "str"}
            and not schema.keys() - SAID - {"keys_schema", "values_schema"}
        ):
            return Shape.around("dict", self.make(schema.get("values_schema", {"type": "any"})))
        return self.other(schema)

    def referred(self, schema: Any) -> Shape:
        name = schema["schema_ref"]
        if schema.keys() - SAID - {"schema_ref"} or name not in self.definitions or name in self.open:
            raise NotPlain
        self.open.append(name)
        made = self.make(self.definitions[name])
        self.open.pop()
        return made

    def model(self, schema: Any) -> Shape:
        cls, fields, config = schema["cls"], schema["schema"], schema.get("config", {})
        if schema.keys() - MODEL or config.keys() - CONFIG or schema.get("custom_init") or schema.get("root_model"):
            raise NotPlain
        if fields["type"] != "model-fields" or fields.keys() - FIELDS or fields.get("computed_fields"):
            raise NotPlain
        # Making an instance calls the first, losing it the last.
        if cls.__new__ is not object.__new__ or cls.__getattribute__ is not object.__getattribute__ or hasattr(cls, "__del__"):
            raise NotPlain
        extra = config.get("extra_fields_behavior", "ignore")
        return Shape.model(
            cls,
            tuple(self.member(name, field) for name, field in fields["fields"].items()),
            closed=extra != "ignore",
            skips_none=self.dump["exclude_none"],
            skips_unset=self.dump["exclude_unset"],
        )

    def member(self, name: str, field: Any) -> Member:
        if field.keys() - FIELD:
            raise NotPlain
        key = field.get("validation_alias", name)
        if not isinstance(key, str):
            raise NotPlain
        alias = field.get("serialization_alias", name) if self.dump["by_alias"] else name
        head = None if field.get("serialization_exclude") else (plain_text(alias) or b"") + b":"
        if head == b":":
            raise NotPlain
        schema, default, factory = field["schema"], UNSET, None
        if schema["type"] == "default":
            if schema.keys() - DEFAULT or schema.get("default_factory_takes_data"):
                raise NotPlain
            factory = schema.get("default_factory")
            if factory not in (None, list, dict):
                raise NotPlain
            default, schema = schema.get("default", UNSET), schema["schema"]
        return Member(name, key, head, self.make(schema), default, factory)

    def other(self, schema: Any) -> Shape:
        """A type that is validated and serialized by itself."""
        if not all(kind in OTHERS for kind in kinds(schema)) or calls_code(schema):
            raise NotPlain
        serializer, write = SchemaSerializer(schema), self.write
        return Shape.other(SchemaValidator(schema).validate_python, lambda value: write(serializer, value))


def kinds(schema: Any) -> list[str]:
    """The types of a schema and of all below it; "" for what is serialized in a way of its own."""
    found: list[str] = []
    stack = [schema]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            if isinstance(part.get("type"), str):
                found.append("" if "serialization" in part else part["type"])
            stack += [value for key, value in part.items() if key != "metadata"]
        elif isinstance(part, (list, tuple)):
            stack += part
    return found
