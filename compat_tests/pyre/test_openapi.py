"""The OpenAPI document and the page that shows it."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Literal

import pytest

from freelane.adapters.pyre import Pyre
from freelane.adapters.pyre.testing import TestClient

pydantic = pytest.importorskip("pydantic")
pytestmark = pytest.mark.thread_unsafe(reason="starts servers")


class Tag(pydantic.BaseModel):  # type: ignore[name-defined,misc]
    name: str


class Item(pydantic.BaseModel):  # type: ignore[name-defined,misc]
    name: str
    tags: list[Tag] = []


@dataclasses.dataclass
class Result:
    id: int
    when: datetime.date | None = None


def build(**options: Any) -> Pyre:
    app = Pyre(title="Shop", version="2.0", **options)

    @app.post("/items/{id}")
    def make(id: int, item: Item, kind: Literal["a", "b"] = "a") -> Result:
        """Make an item.

        At length.
        """
        return Result(id)

    @app.post("/old", model=Item)
    def old(req: Any, data: Any) -> str:
        return ""

    @app.get("/files/{*rest}")
    def files(req: Any) -> Any:
        return None

    return app


def test_document() -> None:
    document = build().openapi.document()
    assert (document["openapi"], document["info"]) == ("3.1.0", {"title": "Shop", "version": "2.0"})
    make = document["paths"]["/items/{id}"]["post"]
    assert (make["summary"], make["operationId"]) == ("Make an item.", "post_items_id")
    assert make["parameters"] == [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "kind", "in": "query", "required": False, "schema": {"enum": ["a", "b"], "default": "a"}},
    ]
    body = make["requestBody"]
    assert body == {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}}
    answer = make["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/Result"}
    assert document["components"]["schemas"]["Result"]["required"] == ["id"]
    assert "Tag" in document["components"]["schemas"]
    assert document["paths"]["/old"]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("Item")
    assert document["paths"]["/files/{rest}"]["get"]["parameters"][0]["name"] == "rest"


def test_every_reference_is_there() -> None:
    document = build().openapi.document()

    def references(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    found = set(references(document))
    assert found == {f"#/components/schemas/{name}" for name in ("Item", "Tag", "Result", "Error")}


def test_document_and_page_are_served() -> None:
    with TestClient(build()) as client:
        assert client.get("/openapi.json").json() == build().openapi.document()
        page = client.get("/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "Shop" in page.text and "http" not in page.text.replace("http-equiv", "")
        for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
            if name in page.text:
                assert client.get(f"/docs/assets/{name}").status_code == 200
        assert client.get("/docs/assets/..%2fsecret").status_code == 404


def test_own_routes_come_first() -> None:
    app = build()
    app.get("/docs", lambda req: "own")
    with TestClient(app) as client:
        assert client.get("/docs").text == "own"


@pytest.mark.parametrize(("options", "document", "page"), [({"openapi_url": None}, 404, 404), ({"docs_url": None}, 200, 404)])
def test_both_can_be_turned_off(options: Any, document: int, page: int) -> None:
    with TestClient(build(**options)) as client:
        assert (client.get("/openapi.json").status_code, client.get("/docs").status_code) == (document, page)
