"""Parameters filled by name and type hint."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import uuid
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from freelane.adapters.pyre import Pyre, PyreRequest
from freelane.adapters.pyre.testing import TestClient

pydantic = pytest.importorskip("pydantic")
pytestmark = pytest.mark.thread_unsafe(reason="one server for all of them")


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Order(pydantic.BaseModel):  # type: ignore[name-defined,misc]
    ticker: str
    amount: int = pydantic.Field(gt=0)


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


def show(value: Any) -> str:
    return f"{type(value).__name__} {value}"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = Pyre()

    @app.get("/user/{id}")
    def user(id: int, verbose: bool = False) -> Any:
        return [show(id), show(verbose)]

    @app.get("/async/{id}")
    async def user_async(id: int, verbose: bool = False) -> Any:
        return [show(id), show(verbose)]

    @app.get("/kinds")
    def kinds(
        f: float, u: uuid.UUID, d: datetime.date, c: Color, lit: Literal["a", "b"], o: int | None, tags: list[int],
        s: str = "none", n: int | None = 5,
    ) -> Any:  # fmt: skip
        return [show(value) for value in (f, u, d, c, lit, o, tags, s, n)]

    @app.get("/mixed/{name}")
    def mixed(req: PyreRequest, name: str, *, page: int = 1) -> Any:
        return [req.method, name, page]

    @app.get("/late")
    def late(page: int, request: Any) -> Any:
        return [page, request.path]

    @app.get("/untyped/{a}")
    def untyped(a, b="x"):  # type: ignore[no-untyped-def]
        return [a, b]

    @app.get("/none")
    def none() -> str:
        return "no parameters"

    @app.post("/order")
    def order(order: Order, dry: bool = False) -> Any:
        return {"total": order.amount, "dry": dry}

    @app.post("/model", model=Order)
    def model(req: Any, data: Order) -> Any:
        return {"ticker": data.ticker}

    @app.post("/model-only", model=Order)
    async def model_only(data: Order) -> Any:
        return data

    @app.post("/point")
    def point(point: Point) -> Any:
        return point

    @app.post("/orders")
    def orders(orders: list[Order]) -> Any:
        return len(orders)

    @app.post("/object")
    def any_object(data: dict) -> Any:  # type: ignore[type-arg]
        return sorted(data)

    @app.post("/raw")
    def raw(data: bytes) -> Any:
        return len(data)

    @app.get("/files/{*rest}")
    def files(rest: str) -> str:
        return rest

    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("prefix", ["user", "async"])
@pytest.mark.parametrize(
    ("target", "expected"),
    [("7", ["int 7", "bool False"]), ("7?verbose=yes", ["int 7", "bool True"]), ("-3?verbose=0", ["int -3", "bool False"])],
)
def test_path_and_query_are_cast(client: TestClient, prefix: str, target: str, expected: list[str]) -> None:
    assert client.get(f"/{prefix}/{target}").json() == expected


@pytest.mark.parametrize("prefix", ["user", "async"])
@pytest.mark.parametrize(
    ("target", "where", "name"), [("x", "path", "id"), ("1_000", "path", "id"), ("1?verbose=maybe", "query", "verbose")]
)
def test_value_that_does_not_fit_is_422_and_named(client: TestClient, prefix: str, target: str, where: str, name: str) -> None:
    response = client.get(f"/{prefix}/{target}")
    assert response.status_code == 422
    assert (response.json()["in"], response.json()["parameter"]) == (where, name)


def test_every_kind_of_query_parameter(client: TestClient) -> None:
    query = "f=1.5&u=00000000-0000-0000-0000-000000000001&d=2024-01-31&c=red&lit=b&o=3&tags=1&tags=2"
    assert client.get(f"/kinds?{query}").json() == [
        "float 1.5", "UUID 00000000-0000-0000-0000-000000000001", "date 2024-01-31", "Color Color.RED", "str b", "int 3",
        "list [1, 2]", "str none", "int 5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "name"),
    [("f=nan", "f"), ("f=x", "f"), ("u=1", "u"), ("d=31.1.", "d"), ("c=green", "c"), ("lit=c", "lit"), ("tags=x", "tags")],
)
def test_each_kind_names_its_parameter(client: TestClient, broken: str, name: str) -> None:
    query = {"f": "1", "u": str(uuid.UUID(int=1)), "d": "2024-01-31", "c": "red", "lit": "a", "tags": "1"}
    key, _, value = broken.partition("=")
    query[key] = value
    response = client.get("/kinds?" + "&".join(f"{key}={value}" for key, value in query.items()))
    assert (response.status_code, response.json()["parameter"]) == (422, name)


def test_missing_query_parameter_is_422(client: TestClient) -> None:
    response = client.get("/kinds")
    assert (response.status_code, response.json()["parameter"]) == (422, "f")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/mixed/bob?page=3", ["GET", "bob", 3]),
        ("/late?page=2", [2, "/late"]),
        ("/untyped/1?b=2", ["1", "2"]),
        ("/untyped/1", ["1", "x"]),
    ],
)
def test_request_is_found_by_hint_name_or_place(client: TestClient, target: str, expected: list[Any]) -> None:
    assert client.get(target).json() == expected


def test_handler_without_parameters(client: TestClient) -> None:
    assert client.get("/none").text == "no parameters"


def test_catch_all(client: TestClient) -> None:
    assert client.get("/files/a/b%20c").text == "a/b c"


def test_model_by_annotation(client: TestClient) -> None:
    assert client.post("/order?dry=1", body={"ticker": "A", "amount": 3}).json() == {"total": 3, "dry": True}


def test_model_by_annotation_that_does_not_fit(client: TestClient) -> None:
    response = client.post("/order", body={"ticker": "A", "amount": 0})
    assert response.status_code == 422
    assert response.json()["parameter"] == "order"
    assert response.json()["detail"][0]["loc"] == ["amount"]


def test_model_argument(client: TestClient) -> None:
    assert client.post("/model", body={"ticker": "A", "amount": 3}).json() == {"ticker": "A"}
    assert client.post("/model-only", body={"ticker": "A", "amount": 3}).json() == {"ticker": "A", "amount": 3}


def test_model_argument_fails_as_in_pyre(client: TestClient) -> None:
    response = client.post("/model", body={"ticker": "A", "amount": -1})
    assert (response.status_code, response.headers["content-type"]) == (422, "text/plain; charset=utf-8")
    assert "amount" in response.text


def test_dataclass(client: TestClient) -> None:
    assert client.post("/point", body={"x": 1}).json() == {"x": 1, "y": 0}
    assert client.post("/point", body={"x": "a"}).status_code == 422
    assert client.post("/point", body={}).status_code == 422


def test_list_of_models(client: TestClient) -> None:
    assert client.post("/orders", body='[{"ticker": "A", "amount": 1}]').text == "1"


def test_dict_takes_an_object_only(client: TestClient) -> None:
    assert client.post("/object", body={"b": 1, "a": 2}).json() == ["a", "b"]
    assert client.post("/object", body="[1]").status_code == 422
    assert client.post("/object", body="{").status_code == 422


def test_bytes_is_the_body(client: TestClient) -> None:
    assert client.post("/raw", body=b"\xff" * 10).text == "10"


def test_parameter_that_nothing_can_fill_is_refused_at_once() -> None:
    app = Pyre()

    def handler(req: Any, socket: complex) -> None: ...

    with pytest.raises(TypeError, match="'socket'.*cannot be filled"):
        app.get("/", handler)


@pytest.mark.parametrize("second", ["/a/{y}", "/a/{*rest}x{"])
def test_route_that_is_taken_or_no_pattern_is_refused(second: str) -> None:
    app = Pyre()
    app.get("/a/{x}", lambda req: "")
    with pytest.raises(ValueError):
        app.get(second, lambda req: "")
        app.pipeline


def test_msgspec_struct() -> None:
    msgspec = pytest.importorskip("msgspec", reason="has no wheel for this interpreter")
    from freelane.adapters.pyre.models import loader

    Item = msgspec.defstruct("Item", [("id", int)])
    assert loader(Item)("item", PyreRequest(body=b'{"id": 3}')).id == 3
    with pytest.raises(Exception, match="item"):
        loader(Item)("item", PyreRequest(body=b'{"id": "x"}'))
