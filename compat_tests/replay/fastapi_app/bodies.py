"""JSON bodies, forms and files."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

from fastapi import APIRouter, Body, File, Form, Request, UploadFile
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

from .both import Both
from .parameters import seen

router = APIRouter()
both = Both(router)


class Image(BaseModel):
    url: HttpUrl
    name: str


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)
    description: str | None = Field(None, max_length=20)
    tags: set[str] = set()
    images: list[Image] | None = None


class User(BaseModel):
    username: str
    full_name: str | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    breed: str


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    count: int


class Span(BaseModel):
    start: int
    end: int

    @model_validator(mode="after")
    def ordered(self) -> "Span":
        if self.start > self.end:
            raise ValueError("ends before it starts")
        return self


class Kinds(BaseModel):
    moment: datetime
    amount: Decimal
    identity: UUID
    blob: bytes = b""


class Credentials(BaseModel):
    model_config = {"extra": "forbid"}

    username: str
    password: str = Field(min_length=3)
    scopes: list[str] = []


@dataclass
class Point:
    x: int
    y: int = 0


class Typed(TypedDict):
    a: int


@both.post("/body/model")
def body_model(item: Item) -> Any:
    return {"item": item, "total": item.price * 2, "tags": sorted(item.tags)}


@both.add("/body/put/{item_id}", "PUT", "PATCH")
def body_put(item_id: int, item: Item, q: str | None = None) -> Any:
    return {"item_id": item_id, **item.model_dump(exclude={"tags"}), "q": q}


@both.post("/body/embedded")
def body_embedded(item: Annotated[Item, Body(embed=True)]) -> Any:
    return item.name


@both.post("/body/several")
def body_several(item: Item, user: User, importance: Annotated[int, Body(gt=0)], q: str | None = None) -> Any:
    return {"name": item.name, "user": user, "importance": importance, "q": q}


@both.post("/body/optional")
def body_optional(item: Item | None = None) -> Any:
    return {"none": item is None}


@both.post("/body/scalar")
def body_scalar(value: int = Body()) -> Any:
    return seen(value=value)


@both.post("/body/default")
def body_default(value: Annotated[int, Body()] = 5) -> Any:
    return seen(value=value)


@both.post("/body/list")
def body_list(values: list[Item]) -> Any:
    return [item.name for item in values]


@both.post("/body/dict")
def body_dict(values: dict[int, float]) -> Any:
    return values


@both.post("/body/any")
def body_any(value: Any = Body(None)) -> Any:
    return seen(value=value)


@both.post("/body/union")
def body_union(value: Item | User) -> Any:
    return {"chosen": type(value).__name__}


@both.post("/body/pet")
def body_pet(pet: Pet) -> Any:
    return {"chosen": type(pet).__name__, "pet": pet}


@both.post("/body/pets")
def body_pets(pets: Annotated[list[Pet], Body(min_length=1)]) -> Any:
    return pets


@both.post("/body/strict")
def body_strict(value: Strict) -> Any:
    return value


@both.post("/body/span")
def body_span(value: Span) -> Any:
    return value


@both.post("/body/kinds")
def body_kinds(value: Kinds) -> Any:
    return value


@both.post("/body/dataclass")
def body_dataclass(point: Point) -> Any:
    return point


@both.post("/body/typed-dict")
def body_typed_dict(value: Typed) -> Any:
    return value


@both.post("/body/bytes")
def body_bytes(value: bytes = Body(media_type="application/octet-stream")) -> Any:
    return seen(value=value)


@both.post("/form/fields")
def form_fields(name: Annotated[str, Form()], age: int = Form(18, ge=18), tags: list[str] = Form([])) -> Any:
    return seen(name=name, age=age, tags=tags)


@both.post("/form/optional")
def form_optional(name: str | None = Form(None), flag: bool = Form(False)) -> Any:
    return seen(name=name, flag=flag)


@both.post("/form/model")
def form_model(data: Annotated[Credentials, Form()]) -> Any:
    return data


@both.post("/file/bytes")
def file_bytes(data: Annotated[bytes, File()]) -> Any:
    return seen(data=data)


@both.post("/file/upload")
def file_upload(file: UploadFile, note: Annotated[str, Form()] = "none") -> Any:
    return [file.filename, file.content_type, file.size, file.file.read().decode("latin-1"), note, sorted(file.headers.items())]


@both.post("/file/several")
def file_several(files: list[UploadFile], blobs: Annotated[list[bytes], File()] = []) -> Any:
    return [[file.filename for file in files], [len(blob) for blob in blobs]]


@both.post("/file/optional")
def file_optional(file: UploadFile | None = None) -> Any:
    return {"none": file is None}


@router.post("/async/file/awaited")
async def file_awaited(file: UploadFile) -> Any:
    await file.seek(2)
    return {"rest": (await file.read(3)).decode(), "name": file.filename}


@router.post("/async/body/and-request")
async def body_and_request(item: Item, request: Request) -> Any:
    """The body may be read again after it was validated."""
    return {"name": item.name, "again": (await request.body()).decode(), "json": await request.json()}


loose = APIRouter(strict_content_type=False)
Both(loose).post("/loose/model")(body_model)
Both(loose).post("/loose/dict")(body_dict)
