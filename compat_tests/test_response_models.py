"""Response models come out as FastAPI writes them, to the byte, whichever way they are written."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import enum
import inspect
import math
import uuid
import warnings
from typing import Annotated, Any, Literal

import pytest
from fastapi import FastAPI
from fastapi.exceptions import ResponseValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, serialize_response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    computed_field,
    create_model,
    field_serializer,
    model_serializer,
    model_validator,
)
from pydantic_core import to_json

from freelane.adapters.fastapi.handler import read
from freelane.adapters.fastapi.responses import field_schema, json_content, serializer
from freelane.adapters.fastapi.shapes import shape_of

# FastAPI has pydantic write its default responses since 0.130.
WRITES_BYTES = "dump_json" in inspect.signature(serialize_response).parameters


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


def handler_of(model: Any, **options: Any) -> Any:
    app = FastAPI()

    @app.get("/", response_model=model, **options)
    async def endpoint() -> None: ...

    (route,) = [route for route in app.routes if isinstance(route, APIRoute) and route.path == "/"]
    return read(route.app)


def outcome(call: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    except ResponseValidationError as exc:
        return "invalid", exc.errors()
    except Exception as exc:
        return type(exc).__name__, str(exc)


def by_fastapi(handler: Any, value: Any) -> Any:
    more: dict[str, Any] = {"dump_json": True} if handler.default_class and WRITES_BYTES else {}
    field = handler.response_field
    found = asyncio.run(serialize_response(field=field, response_content=value, **handler.dump, **more))
    return found if more else JSONResponse(found).body


def same(handler: Any, value: Any) -> Any:
    content = json_content(handler, serializer(handler, lambda request: {}))
    expected = outcome(lambda: by_fastapi(handler, value))
    found = outcome(lambda: content(None, value))
    assert repr(found) == repr(expected)
    return found


def text_of(handler: Any, value: Any) -> bytes | None:
    """What the short way alone gives; None where it is not taken."""
    shape = shape_of(field_schema(handler.response_field), handler.dump, lambda found, value: found.to_json(value), to_json)
    return None if shape is None else shape.text(value)


# Types, each with values that fit, as a rule.
LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-(2**70), 2**70) | st.integers(-9, 9)),
    (float, st.floats() | st.integers(-(2**60), 2**60) | st.sampled_from([1e15, 1e16, 1e17, 1e-4, 1e-5, 1e-7, 5e-324, -0.0])),
    (str, st.text()),
    (bool, st.booleans()),
    (Any, st.recursive(st.none() | st.floats() | st.text(max_size=3) | st.integers(), lambda inner: st.lists(inner, max_size=2)
         | st.dictionaries(st.text(max_size=2), inner, max_size=2) | st.tuples(inner), max_leaves=4)),
    (datetime.datetime, st.datetimes() | st.datetimes(timezones=st.just(datetime.UTC))),
    (datetime.timedelta, st.timedeltas()),
    (uuid.UUID, st.uuids()),
    (decimal.Decimal, st.decimals()),
    (bytes, st.binary(max_size=4)),
    (Colour, st.sampled_from(list(Colour)) | st.sampled_from(["red", 2])),
    (Literal["a", "b"], st.sampled_from(["a", "b", "c"])),
    (Annotated[int, Field(ge=0)], st.integers(-2, 9)),
    (int | str, st.integers(0, 3) | st.text(max_size=2)),
    (set[int], st.sets(st.integers(0, 9), max_size=3)),
]  # fmt: skip
ODD: st.SearchStrategy[Any] = st.sampled_from([None, "1", 1, 1.5, True, b"x", "\ud800", [], {}, (1,), object])
UNIQUE = iter(range(10**9))


@st.composite
def typed(draw: Any, depth: int = 0) -> tuple[Any, st.SearchStrategy[Any]]:
    """A type, and values for it."""
    kind = draw(st.sampled_from(["leaf", "leaf", "list", "dict", "optional", "model", "model"] if depth < 3 else ["leaf"]))
    if kind == "leaf":
        found, values = draw(st.sampled_from(LEAVES))
        return found, values
    if kind == "model":
        model: tuple[Any, st.SearchStrategy[Any]] = draw(modelled(depth))
        return model
    inner: Any
    inner, values = draw(typed(depth + 1))
    if kind == "list":
        return list[inner], st.lists(values, max_size=3)
    if kind == "dict":
        return dict[str, inner], st.dictionaries(st.text(max_size=3), values, max_size=3)
    return inner | None, values | st.none()


@st.composite
def modelled(draw: Any, depth: int = 0) -> tuple[Any, st.SearchStrategy[Any]]:
    fields: dict[str, Any] = {}
    required: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for name in draw(st.sets(st.sampled_from(["a", "b", "c", "d"]), max_size=3)):
        inner, values = draw(typed(depth + 1))
        extra = draw(
            st.sampled_from([{}, {}, {"alias": f"{name}-\u00e9"}, {"exclude": True}, {"serialization_alias": f'{name}"'}])
        )
        default = draw(st.sampled_from([..., ..., None, 3, "list"]))
        made = Field(default_factory=list, **extra) if default == "list" else Field(default, **extra)
        fields[name] = (inner, made)
        (required if default is ... else optional)[extra.get("alias", name)] = values
    config = ConfigDict(extra=draw(st.sampled_from(["ignore", "ignore", "forbid", "allow"])))
    model = create_model(f"Model{next(UNIQUE)}", __config__=config, **fields)
    given = st.fixed_dictionaries(required, optional=optional)
    given |= given.map(lambda value: {**value, "more": 1})

    def built(value: Any) -> Any:
        try:
            return model(**value)
        except ValueError:
            return value

    return model, given | given.map(built)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_generated_models(data: st.DataObject) -> None:
    model, values = data.draw(typed())
    flags: dict[str, Any] = {f"response_model_{name}": data.draw(st.booleans()) for name in ("exclude_none", "exclude_unset")}
    flags["response_model_by_alias"] = data.draw(st.sampled_from([True, True, False]))
    if data.draw(st.booleans()):
        flags["response_class"] = JSONResponse
    try:
        handler = handler_of(model, **flags)
    except Exception:  # no response model, to FastAPI
        return
    for _ in range(3):
        same(handler, data.draw(values | ODD))


class Item(BaseModel):
    id: int
    name: str
    price: float
    tags: list[str] = []
    note: str | None = None


def reordered(value: Any) -> Any:
    value.__dict__["id"] = value.__dict__.pop("id")
    return value


FULL: dict[str, Any] = {"id": 1, "name": 'caf\u00e9 "\n\x01\x7f', "price": 1.5, "tags": ["a"]}


@pytest.mark.parametrize("value", [FULL, Item(**FULL), {**FULL, "price": 3}, {**FULL, "more": object()}])
@pytest.mark.parametrize("model", [Item, list[Item], dict[str, Item], Item | None])
def test_takes_the_short_way(model: Any, value: Any) -> None:
    wrapped = [value, value] if model == list[Item] else {"k": value} if model == dict[str, Item] else value
    handler = handler_of(model)
    assert text_of(handler, wrapped) == same(handler, wrapped)


@pytest.mark.parametrize(
    "value",
    [
        {**FULL, "id": "1"}, {**FULL, "id": True}, {**FULL, "name": 1}, {**FULL, "price": math.nan}, {**FULL, "tags": ("a",)},
        {**FULL, "name": "\ud800"}, {"id": 1}, Item.model_construct(id="x", name=1), reordered(Item(**FULL)),
        type("Sub", (Item,), {})(**FULL), type("Pairs", (dict,), {})(FULL), None, 3,
    ],
)  # fmt: skip
def test_leaves_other_values_to_pydantic(value: Any) -> None:
    handler = handler_of(Item)
    assert text_of(handler, value) is None
    same(handler, value)


@pytest.mark.parametrize(
    "options",
    [{"response_model_exclude_defaults": True}, {"response_model_include": {"id"}}, {"response_model_exclude": {"id"}}],
)
def test_leaves_selections_to_pydantic(options: Any) -> None:
    handler = handler_of(Item, **options)
    assert text_of(handler, FULL) is None
    same(handler, FULL)


calls: list[Any] = []


def noted(value: Any) -> Any:
    calls.append(value)
    return value


class Computed(Item):
    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return self.id * 2


class Serialized(Item):
    @field_serializer("id")
    def shown(self, value: int) -> str:
        return f"#{value}"


class Whole(Item):
    @model_serializer
    def shown(self) -> str:
        return "whole"


class Validated(Item):
    @model_validator(mode="after")
    def looked(self) -> Validated:
        calls.append(self.id)
        return self


class Configured(Item):
    model_config = ConfigDict(str_to_upper=True)


class Made(Item):
    def __init__(self, **values: Any) -> None:
        super().__init__(**{**values, "name": "made"})


class After(Item):
    def model_post_init(self, context: Any) -> None:
        calls.append(self.id)


class Tree(BaseModel):
    id: int
    below: list[Tree] = []


class Factory(Item):
    more: list[int] = Field(default_factory=lambda: noted([1]))


@pytest.mark.parametrize(
    "model",
    [
        Computed, Serialized, Whole, Validated, Configured, Made, After, Tree, Factory, RootModel[dict[str, Any]], Item | Tree,
        create_model("Function", __base__=Item, id=(Annotated[int, BeforeValidator(noted)], ...)),
        create_model("Shown", __base__=Item, id=(Annotated[int, PlainSerializer(str)], ...)),
        create_model("Chosen", __base__=Item, id=(int, Field(alias="nope", validation_alias="id"))),
    ],
)  # fmt: skip
def test_code_of_the_apps_is_called_as_often(model: Any) -> None:
    handler = handler_of(list[model])
    for value in ([FULL, FULL], [FULL, {"id": None}]):
        calls.clear()
        outcome(lambda given=value: by_fastapi(handler, given))
        expected = calls.copy()
        calls.clear()
        content = json_content(handler, serializer(handler, lambda request: {}))
        outcome(lambda given=value: content(None, given))
        assert calls == expected
        same(handler, value)
