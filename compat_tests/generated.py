"""Hypothesis strategies: FastAPI apps with generated routes, and requests to them, right and wrong.

A drawn app is a description that ``build`` turns into as many equal apps as are compared.
Functions are made from source text, so that they look to FastAPI like anybody's.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, Form, Header, HTTPException, Path, Query
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, create_model


class Colour(enum.Enum):
    red = "red"
    green = "green"


def even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even")
    return value


SCALARS: dict[str, Any] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "date": date,
    "datetime": datetime,
    "uuid": UUID,
    "decimal": Decimal,
    "bytes": bytes,
    "colour": Colour,
    "literal": Literal["a", "b"],
    "even": Annotated[int, AfterValidator(even)],
    "optional": int | None,
    "union": int | str,
}
LISTS: dict[str, Any] = {"ints": list[int], "strs": list[str], "set": set[int], "optional list": list[int] | None}
WHERE: dict[str, Callable[..., Any]] = {
    "path": Path,
    "query": Query,
    "header": Header,
    "cookie": Cookie,
    "body": Body,
    "form": Form,
}

# As they come in URLs, headers and forms; each is right for some of the types and wrong for others.
TEXTS = [
    "1", "2", "-3", "+4", "0", "007", "1.5", "1e3", "nan", "true", "off", "", " 7 ", "a", "b", "abc", "red", "RED", "č",
    "2024-02-29", "2023-02-29", "2024-01-01T10:00:00Z", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "9" * 30, "null", "[1]",
]  # fmt: skip
RIGHT: dict[str, list[str]] = {
    "int": ["2", "4", "0", "-3", "007"], "float": ["1.5", "1", "1e3"], "bool": ["true", "off", "1"], "str": ["ab", "abc", "č"],
    "date": ["2024-02-29"], "datetime": ["2024-01-01T10:00:00Z", "2024-02-29"], "uuid": ["6ba7b810-9dad-11d1-80b4-00c04fd430c8"],
    "decimal": ["1.50", "2"], "bytes": ["raw"], "colour": ["red", "green"], "literal": ["a", "b"], "even": ["2", "-4"],
    "optional": ["5"], "union": ["5", "text"], "ints": ["2", "4"], "strs": ["a", ""], "set": ["1", "2"], "optional list": ["3"],
}  # fmt: skip
VALUES = [*TEXTS, 1, -2, 3, 1.5, True, None, [], [1, 2], ["a"], [1, "x"], {}, {"a": 1}, 10**20]


@dataclass(frozen=True)
class Parameter:
    name: str
    where: str
    kind: str
    style: str  # "annotated", "default" (the marker is the default value) or "bare"
    default: Any = ...
    alias: str | None = None
    constraints: tuple[tuple[str, Any], ...] = ()
    underscores: bool = True

    @property
    def sent_as(self) -> str:
        if self.alias:
            return self.alias
        return self.name.replace("_", "-") if self.where == "header" and self.underscores else self.name

    def marker(self, *default: Any) -> Any:
        options: dict[str, Any] = dict(self.constraints)
        if self.alias:
            options["alias"] = self.alias
        if self.where == "header":
            options["convert_underscores"] = self.underscores
        return WHERE[self.where](*default, **options)

    def declared(self, models: dict[str, type[BaseModel]]) -> tuple[Any, Any]:
        """Annotation and default value; the latter is ... where there is none."""
        kind = models.get(self.kind) or SCALARS.get(self.kind) or LISTS[self.kind]
        if self.style == "annotated":
            return Annotated[kind, self.marker()], self.default
        if self.style == "default":
            return kind, self.marker() if self.default is ... else self.marker(self.default)
        return kind, self.default


@dataclass(frozen=True)
class Function:
    """An endpoint or a dependency."""

    number: int
    kind: str  # "def", "async", and for dependencies "yield", "async yield", "class"
    parameters: tuple[Parameter, ...]
    depends: tuple[tuple[Function, bool], ...] = ()  # with use_cache
    refuses: bool = False

    def everything(self) -> list[Parameter]:
        return [*self.parameters, *(one for below, _ in self.depends for one in below.everything())]


@dataclass(frozen=True)
class Operation:
    number: int
    method: str
    endpoint: Function
    options: tuple[tuple[str, Any], ...]
    router: bool
    listed: tuple[Function, ...] = ()

    def parameters(self) -> list[Parameter]:
        return [*self.endpoint.everything(), *(one for below in self.listed for one in below.everything())]

    @property
    def path(self) -> str:
        names = dict.fromkeys(one.sent_as for one in self.parameters() if one.where == "path")
        return f"/r{self.number}" + "".join(f"/{{{name}}}" for name in names)


@dataclass(frozen=True)
class Model:
    """A pydantic model as (field, kind, default or ...)."""

    name: str
    fields: tuple[tuple[str, str, Any], ...]
    forbid: bool

    def build(self) -> type[BaseModel]:
        shapes = {"nested": Nested, "any": Any, **SCALARS, **LISTS}
        made: dict[str, Any] = {name: (shapes[kind], default) for name, kind, default in self.fields}
        base = create_model(f"{self.name}Base", **made)

        class Configured(base):  # type: ignore[misc, valid-type]
            model_config = {"extra": "forbid" if self.forbid else "ignore"}

        Configured.__name__ = Configured.__qualname__ = self.name
        return Configured


class Nested(BaseModel):
    size: int = Field(gt=0)
    label: str = "none"


@dataclass(frozen=True)
class App:
    models: tuple[Model, ...]
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class Sent:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass
class Builder:
    models: dict[str, type[BaseModel]]
    functions: dict[int, Callable[..., Any]] = field(default_factory=dict)

    def function(self, wanted: Function) -> Callable[..., Any]:
        """The same function for the same description, so that it is cached within a request as such."""
        if wanted.number not in self.functions:
            self.functions[wanted.number] = self.make(wanted)
        return self.functions[wanted.number]

    def make(self, wanted: Function) -> Callable[..., Any]:
        names: dict[str, Any] = {"seen": seen, "refuse": refuse}
        required, optional, given = [], [], []
        for parameter in wanted.parameters:
            name = parameter.name
            names[f"T_{name}"], default = parameter.declared(self.models)
            given.append(f"{name}={name}")
            if default is ...:
                required.append(f"{name}: T_{name}")
            else:
                names[f"D_{name}"] = default
                optional.append(f"{name}: T_{name} = D_{name}")
        for index, (below, use_cache) in enumerate(wanted.depends):
            names[f"D_d{index}"] = Depends(self.function(below), use_cache=use_cache)
            optional.append(f"d{index} = D_d{index}")
            given.append(f"d{index}={'vars(d%d)' % index if below.kind == 'class' else 'd%d' % index}")
        signature, values = ", ".join([*required, *optional]), f"seen({', '.join(given)})"
        head, name = "async def" if wanted.kind.startswith("async") else "def", f"function_{wanted.number}"
        refusing = "    refuse()\n" if wanted.refuses else ""
        if wanted.kind == "class":
            signature = ", ".join(filter(None, ["self", signature]))
            source = f"class {name}:\n  def __init__({signature}):\n    self.values = {values}\n"
        elif wanted.kind.endswith("yield"):
            source = f"{head} {name}({signature}):\n{refusing}    yield {values}\n"
        else:
            source = f"{head} {name}({signature}):\n{refusing}    return {values}\n"
        exec(source, names)
        made: Callable[..., Any] = names[name]
        return made


def seen(**values: Any) -> dict[str, Any]:
    """Values with their types; what cannot be told in JSON as its repr."""

    def tell(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: tell(item) for key, item in value.items()}
        return f"{type(value).__name__} {sorted(value) if isinstance(value, set) else value!r}"

    return {name: tell(value) for name, value in values.items()}


def refuse() -> None:
    raise HTTPException(409, {"refused": True}, {"x-refused": "1"})


def build(app: App) -> FastAPI:
    builder = Builder({model.name: model.build() for model in app.models})
    made = FastAPI()
    router = APIRouter(prefix="/in")
    for operation in app.operations:
        target = router if operation.router else made
        listed = [Depends(builder.function(one)) for one in operation.listed]
        function = builder.function(operation.endpoint)
        target.add_api_route(
            operation.path, function, methods=[operation.method], dependencies=listed, **dict(operation.options)
        )
    made.include_router(router)
    return made


# Drawing.

CONSTRAINTS: dict[str, list[tuple[str, Any]]] = {
    "int": [("ge", 1), ("lt", 5), ("multiple_of", 2)],
    "float": [("gt", 0), ("le", 1.5)],
    "str": [("min_length", 2), ("max_length", 3), ("pattern", "^[a-z]*$")],
    "ints": [("min_length", 2)],
}
DEFAULTS: dict[str, list[Any]] = {
    "int": [0, 7], "float": [0.5], "bool": [True], "str": ["text", ""], "colour": [Colour.red], "literal": ["b"],
    "even": [4], "optional": [None, 3], "union": ["u"], "ints": [[], [1]], "strs": [["s"]], "optional list": [None],
    "decimal": [Decimal("1.5")], "date": [date(2020, 1, 1)], "bytes": [b"raw"],
}  # fmt: skip


@st.composite
def parameters(draw: st.DrawFn, name: str, where: str) -> Parameter:
    kinds = [*SCALARS] if where in ("path", "cookie") else [*SCALARS, *LISTS]
    if where == "path":
        kinds = [kind for kind in kinds if kind not in ("optional", "union")]
    kind = draw(st.sampled_from(kinds))
    default: Any = ...
    if where != "path" and kind in DEFAULTS and draw(st.booleans()):
        default = draw(st.sampled_from(DEFAULTS[kind]))
    plain = where == "path" or (where == "query" and kind in SCALARS)
    style = draw(st.sampled_from(["annotated", "default", "bare"] if plain else ["annotated", "default"]))
    constraints: tuple[tuple[str, Any], ...] = ()
    if style != "bare" and kind in CONSTRAINTS:
        constraints = tuple(draw(st.lists(st.sampled_from(CONSTRAINTS[kind]), unique=True, max_size=2)))
    alias = draw(st.sampled_from([None, None, f"{name}Alias"])) if style != "bare" and where != "path" else None
    return Parameter(name, where, kind, style, default, alias, constraints, draw(st.booleans()))


@st.composite
def functions(draw: st.DrawFn, numbers: list[int], depth: int, shared: list[Function], bodies: str | None) -> Function:
    """A dependency, or with ``bodies`` an endpoint that may have body parameters of that kind."""
    number = len(numbers)
    numbers.append(number)
    where = [
        ("path", "query", "query", "header", "cookie")[index % 5] for index in draw(st.lists(st.integers(0, 4), max_size=3))
    ]
    if bodies in ("body", "form"):
        where += [bodies] * draw(st.integers(1, 2))
    drawn = [draw(parameters(f"p{number}_{index}", kind)) for index, kind in enumerate(where)]
    if bodies in ("Model0", "two models"):
        style = draw(st.sampled_from(["bare", "annotated", "default"]))
        embed = (("embed", True),) if style != "bare" and draw(st.booleans()) else ()
        drawn.append(Parameter("model", "body", "Model0", style, constraints=embed))
        if bodies == "two models":
            drawn.append(Parameter("other", "body", "Model1", "bare"))
    if bodies == "query model":
        drawn = [one for one in drawn if one.where != "query"]
        drawn.append(Parameter("model", "query", "Flat", "annotated"))
    below: list[tuple[Function, bool]] = []
    if depth:
        for _ in range(draw(st.integers(0, 2))):
            if bool(shared) and draw(st.booleans()):
                one = draw(st.sampled_from(shared))
            else:
                one = draw(functions(numbers, depth - 1, shared, None))
                shared.append(one)
            below.append((one, draw(st.booleans())))
    kinds = ["def", "async"] if bodies else ["def", "async", "yield", "async yield", "class"]
    kind = draw(st.sampled_from(kinds))
    refuses = kind != "class" and draw(st.integers(0, 19)) == 0
    return Function(number, kind, tuple(drawn), tuple(below), refuses)


@st.composite
def models(draw: st.DrawFn, name: str, *, flat: bool = False) -> Model:
    kinds = [*SCALARS, *LISTS] if flat else [*SCALARS, *LISTS, "nested", "any"]
    fields = []
    for index in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(kinds))
        default = draw(st.sampled_from([..., *DEFAULTS.get(kind, [])]))
        fields.append((f"f{index}", kind, default))
    return Model(name, tuple(fields), draw(st.booleans()))


@st.composite
def apps(draw: st.DrawFn) -> App:
    numbers: list[int] = []
    shared: list[Function] = []
    operations = []
    for number in range(draw(st.integers(1, 2))):
        bodies = draw(st.sampled_from(["none", "none", "body", "form", "Model0", "two models", "query model"]))
        endpoint = draw(functions(numbers, 2, shared, bodies))
        listed = (draw(st.sampled_from(shared)),) if shared and draw(st.integers(0, 3)) == 0 else ()
        method = "GET" if bodies in ("none", "query model") else draw(st.sampled_from(["POST", "PUT", "PATCH"]))
        options: dict[str, Any] = draw(
            st.sampled_from([{}, {}, {"status_code": 201}, {"response_model": dict[str, Any]}, {"response_model": None}])
        )
        operations.append(Operation(number, method, endpoint, tuple(options.items()), draw(st.booleans()), listed))
    made = (draw(models("Model0")), draw(models("Model1")), draw(models("Flat", flat=True)))
    return App(made, tuple(operations))


def right_json(kind: str) -> Any:
    """A value of a JSON body that is right for ``kind`` where no constraint is stricter."""
    if kind == "nested":
        return {"size": 3}
    if kind in LISTS:
        return [text if kind == "strs" else int(text) for text in RIGHT[kind]]
    return RIGHT.get(kind, ["anything"])[0]


@st.composite
def requests(draw: st.DrawFn, app: App) -> Sent:
    """A request to one of the routes, right or with values wrong, missing, empty or repeated."""
    operation = draw(st.sampled_from(app.operations))
    right = draw(st.booleans())

    def text(kind: str) -> str:
        return draw(st.sampled_from(RIGHT[kind] if right or draw(st.booleans()) else TEXTS))

    def value(kind: str) -> Any:
        return right_json(kind) if right or draw(st.booleans()) else draw(st.sampled_from(VALUES))

    def texts(one: Parameter) -> list[str]:
        if right:
            least = 0 if one.default is not ... else 1
            return [text(one.kind) for _ in range(draw(st.integers(least, 2)) if one.kind in LISTS else 1)]
        return [text(one.kind) for _ in range(draw(st.sampled_from([0, 1, 1, 1, 1, 2, 3])))]

    declared = {(one.where, one.sent_as): one for one in operation.parameters()}
    path = ("/in" if operation.router else "") + operation.path
    query: list[tuple[str, str]] = []
    headers: list[tuple[str, str]] = []
    cookies: list[str] = []
    form: list[tuple[str, str]] = []
    content: dict[str, Any] = {}
    shapes = {model.name: model for model in app.models}
    for (where, name), one in declared.items():
        if where == "path":
            path = path.replace(f"{{{name}}}", quote(text(one.kind), safe=""))
        elif one.kind in shapes:
            fields = [field for field in shapes[one.kind].fields if right or draw(st.integers(0, 4))]
            if where == "query":
                query += [(field, text(kind)) for field, kind, _ in fields]
                query += [("unknown", "1")] if not right and draw(st.booleans()) else []
            else:
                content[name] = {field: value(kind) for field, kind, _ in fields}
        elif where == "query":
            query += [(name, item) for item in texts(one)]
        elif where == "header":
            headers += [(name, item.strip().replace("č", "c")) for item in texts(one)]
        elif where == "cookie":
            cookies += [f"{name}={item.replace('č', 'c')}" for item in texts(one)]
        elif where == "form":
            form += [(name, item) for item in texts(one)]
        elif right or draw(st.integers(0, 4)):
            content[name] = value(one.kind)
    if cookies:
        headers.append(("cookie", "; ".join(cookies)))
    if bool(query) or draw(st.booleans()):
        path += "?" + urlencode(query)
    body = b""
    if any(where == "form" for where, _ in declared):
        body = urlencode(form).encode()
        form_type = "application/x-www-form-urlencoded"
        headers.append(("content-type", form_type if right else draw(st.sampled_from([form_type, "text/plain"]))))
    elif bodies := [one for one in operation.parameters() if one.where == "body"]:
        alone = len(bodies) == 1 and ("embed", True) not in bodies[0].constraints
        whole = content.get(bodies[0].sent_as) if alone else content
        body, kind = json.dumps(whole).encode(), "application/json"
        if not right:
            others = [json.dumps(content).encode(), b"null", b"[]", b'"x"', b"", b"{", b"\xff"]
            body = draw(st.sampled_from([body] * len(others) + others))
            kind = draw(st.sampled_from([kind] * 4 + ["application/vnd.x+json", "text/plain", ""]))
        headers += [("content-type", kind)] if kind else []
    method = operation.method if right else draw(st.sampled_from([operation.method] * 9 + ["DELETE"]))
    return Sent(method, path, tuple(headers), body)


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[App, list[Sent]]:
    app = draw(apps())
    return app, draw(st.lists(requests(app), min_size=1, max_size=6))
