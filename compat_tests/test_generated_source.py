"""Handlers that are written as source: whatever the app calls its parameters, and however often its validators count."""

import enum
import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from fastapi import Body, Cookie, Depends, FastAPI, Header, Path, Query
from pydantic import AfterValidator, BaseModel, field_validator

from compat_tests.test_compiled import plan
from compat_tests.test_fastapi_changes import Compared

pytestmark = pytest.mark.thread_unsafe(reason="each test has a loop and its threads")

Compare = Callable[[Callable[[], FastAPI]], Compared]

# Names of generated code's own, of Python's, and such as no generated name may be made of blindly.
NAMES = [
    "TARGET", "xTARGETx", "target", "errors", "value", "values", "wrong", "data", "query", "path", "headers", "cookies",
    "response", "request_", "background", "body", "handler", "Undefined", "len", "KeyError", "ValidationError", "exc",
    "validate_1", "default_2", "__name__", "__builtins__", "_C__mangled", "self", "cls", "match", "case", "type", "é", "名前",
    "n" * 5000,
]  # fmt: skip


class Alias(str, enum.Enum):
    """Members whose repr is no literal."""

    target = "TARGET"


def named(name: str, default: Any) -> Callable[..., Any]:
    """A function with one parameter called ``name``."""
    names: dict[str, Any] = {"default": default, "Any": Any}
    exec(f"def endpoint({name}: int = default) -> Any:\n    return {{'got': {name}}}", names)
    made: Callable[..., Any] = names["endpoint"]
    return made


@pytest.fixture
def compare() -> Iterator[Compare]:
    made: list[Compared] = []

    def start(factory: Callable[[], FastAPI]) -> Compared:
        made.append(Compared(factory))
        return made[-1]

    yield start
    for one in made:
        one.close()


def all_names() -> FastAPI:
    app = FastAPI()
    for number, name in enumerate(NAMES):
        app.add_api_route(f"/query/{number}", named(name, 5), response_model=None)
        app.add_api_route(f"/alias/{number}", named("p", Query(5, alias=name)), response_model=None)
        app.add_api_route(f"/header/{number}", named("p", Header(5, alias=f"x-{number}-TARGET")), response_model=None)
        body = named("p" if name.startswith("_") else name, Body(5, embed=True, alias=name))
        app.add_api_route(f"/member/{number}", body, response_model=None, methods=["POST"])
        if name.isascii() and len(name) < 100:
            app.add_api_route(f"/path/{number}/{{{name}}}", named(name, Path()), response_model=None)

        def depends(found: Any = Depends(named(name, Query(5)))) -> Any:
            return found

        depends.__name__ = name
        app.add_api_route(f"/depends/{number}", depends, response_model=None)

    def by_member(p: int = Query(alias=Alias.target), q: int = Cookie(7, alias=Alias.target)) -> Any:
        return [p, q]

    app.add_api_route("/enum", by_member, response_model=None)

    # A name that Python would read as another one (PEP 3131), which only a signature can have.
    class Call:
        def __call__(self, **given: Any) -> Any:
            return given

    def composed(**given: Any) -> Any:
        return given

    composed.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter("\N{LATIN SMALL LIGATURE FI}", inspect.Parameter.KEYWORD_ONLY, annotation=int, default=3)]
    )
    app.add_api_route("/composed", composed, response_model=None)
    app.add_api_route("/a 'quoted' \"path\" \\ {x}", named("x", Path()), response_model=None)
    return app


def test_any_name_is_taken_as_fastapi_takes_it(compare: Compare) -> None:
    made = compare(all_names)
    for number, name in enumerate(NAMES):
        given = "".join(f"%{byte:02X}" for byte in name.encode())
        json = {"content-type": "application/json"}
        for answer in (
            made.ask("GET", f"/query/{number}?{given}=8"),
            made.ask("GET", f"/alias/{number}?{given}=8"),
            made.ask("GET", f"/depends/{number}?{given}=8"),
            made.ask("GET", f"/header/{number}", {f"x-{number}-target": "8"}),
            made.ask("POST", f"/member/{number}", json, f'{{"{name}": 8}}'.encode()),
        ):
            assert answer == (200, b'{"got":8}'), name
        assert made.ask("GET", f"/query/{number}?{given}=x")[0] == 422
        assert made.ask("GET", f"/query/{number}") == (200, b'{"got":5}')
        if name.isascii() and len(name) < 100:
            assert made.ask("GET", f"/path/{number}/8") == (200, b'{"got":8}')
    assert made.ask("GET", "/enum?TARGET=8", {"cookie": "TARGET=9"}) == (200, b"[8,9]")
    assert made.ask("GET", "/enum")[0] == 422
    made.ask("GET", "/composed")
    made.ask("GET", "/a%20'quoted'%20%22path%22%20%5C%208")


def test_such_routes_are_compiled() -> None:
    app = all_names()
    for path in ("/query/0", "/alias/0", "/depends/0", "/header/0", "/member/0", "/enum", "/composed"):
        assert plan(app, path).reason == "", path


def counted() -> FastAPI:
    """Validators that count their calls; one that fails with no ValueError; what each of them was given."""
    calls: list[str] = []

    def note(value: Any) -> Any:
        calls.append(str(value))
        if value == "bad":
            raise ValueError("as asked")
        if value == "broken":
            raise KeyError("no ValueError")
        return value

    Noted = Annotated[str, AfterValidator(note)]

    class Item(BaseModel):
        name: Noted
        size: int = 1

        @field_validator("size")
        @classmethod
        def of_size(cls, value: int) -> int:
            calls.append(f"size {value}")
            return value

    app = FastAPI()

    def several(a: Noted, b: int, c: Noted = "c", d: Annotated[str, Header(), AfterValidator(note)] = "d") -> Any:
        return [a, b, c, d]

    def dependency(a: Noted, n: int = 0) -> Any:
        return [a, n]

    def twice(x: Any = Depends(dependency), y: Any = Depends(dependency), z: int = 0) -> Any:
        return [x, y, z]

    async def item(item: Item, b: int = 0) -> Any:
        return [item, b]

    async def members(a: Annotated[Noted, Body()], b: Annotated[int, Body()], c: Annotated[Noted | None, Body()] = None) -> Any:
        return [a, b, c]

    def told() -> Any:
        return calls

    for path, endpoint, method in (
        ("/several", several, "GET"), ("/twice", twice, "GET"), ("/item", item, "POST"), ("/members", members, "POST"),
        ("/calls", told, "GET"),
    ):  # fmt: skip
        app.add_api_route(path, endpoint, response_model=None, methods=[method])
    return app


JSON = {"content-type": "application/json"}
COUNTED: list[tuple[Any, ...]] = [
    *(
        ("GET", f"/several?{query}", headers)
        for query in ("a=1&b=1", "a=1&b=x", "b=x", "a=bad&b=1", "a=bad&b=x&c=bad", "a=broken&b=1", "a=1&b=x&c=2", "a=1&b=x&c=broken")
        for headers in (None, {"d": "given"}, {"d": "bad"})
    ),
    *(("GET", f"/twice?{query}") for query in ("a=1", "a=1&n=x", "a=bad", "a=broken", "a=1&z=x", "")),
    *(
        ("POST", f"/item{query}", JSON, body)
        for query in ("", "?b=x")
        for body in (b"", b'{"name":"n"}', b'{"name":"bad","size":2}', b'{"name":"n","size":"x"}', b"[]", b"null", b'{"name":"broken"}')
    ),
    *(
        ("POST", "/members", JSON, body)
        for body in (
            b"", b"{}", b"[]", b"null", b'"a"', b"5", b'{"a":"1","b":1}', b'{"a":"1","b":"x"}', b'{"a":"bad","b":1,"c":"bad"}',
            b'{"a":"1","b":1,"c":null}', b'{"a":"1","b":1,"c":"broken"}', b'{"a":null,"b":null}',
        )
    ),
]  # fmt: skip


def test_each_validator_is_called_as_often_as_by_fastapi(compare: Compare) -> None:
    made = compare(counted)
    for request in COUNTED:
        made.ask(*request)
        made.ask("GET", "/calls")


def test_the_counting_routes_are_compiled() -> None:
    app = counted()
    for path in ("/several", "/twice", "/item", "/members"):
        assert plan(app, path).reason == "", path


def test_the_validators_count(compare: Compare) -> None:
    made = compare(counted)
    made.ask("GET", "/several?a=1&b=x&c=2")
    assert made.ask("GET", "/calls") == (200, b'["1","2"]')
