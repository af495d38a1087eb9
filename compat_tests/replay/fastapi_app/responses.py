"""Response models, response classes, status codes, streams."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_serializer

from .both import Both

router = APIRouter()
both = Both(router)
STATIC = Path(__file__).parent.parent / "static"


class Spaced(JSONResponse):
    """A response class of the app's own."""

    media_type = "application/vnd.spaced+json"

    def render(self, content: Any) -> bytes:
        return super().render(content).replace(b":", b" : ")


class Mood(Enum):
    good = "good"


class Part(BaseModel):
    name: str
    size: int = 1


class Thing(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    name: str
    price: float = 9.5
    note: str | None = None
    tags: list[str] = []
    part: Part | None = None
    spelled_out: int = Field(default=3, alias="spelledOut")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def doubled(self) -> float:
        return self.price * 2


class Account(BaseModel):
    username: str


class AccountIn(Account):
    password: str


class Serialized(BaseModel):
    moment: datetime
    amount: Decimal
    identity: UUID
    mood: Mood

    @field_serializer("amount")
    def as_text(self, amount: Decimal) -> str:
        return f"{amount} units"


class Orm(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    size: int


@dataclass
class Row:
    name: str
    size: int = 0
    hidden: str = "hidden"


class Record:
    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size


THING: dict[str, Any] = {"name": "thing", "part": {"name": "inner", "size": 2}, "spelledOut": 4, "unknown": True}


@both.get("/model/whole", response_model=Thing)
def model_whole() -> Any:
    return THING


@both.get("/model/annotated")
def model_annotated() -> Thing:
    return Thing(name="annotated", price=2, part=Part(name="p"))


@both.get("/model/include", response_model=Thing, response_model_include={"name", "part"})
def model_include() -> Any:
    return THING


@both.get("/model/exclude", response_model=Thing, response_model_exclude={"name": True, "part": {"size"}})
def model_exclude() -> Any:
    return Thing(**THING)


@both.get("/model/unset", response_model=Thing, response_model_exclude_unset=True)
def model_unset() -> Any:
    return Thing(name="set", note=None)


@both.get("/model/defaults", response_model=Thing, response_model_exclude_defaults=True)
def model_defaults() -> Any:
    return Thing(name="set", price=9.5, note="x")


@both.get("/model/none", response_model=Thing, response_model_exclude_none=True)
def model_none() -> Any:
    return THING


@both.get("/model/by-name", response_model=Thing, response_model_by_alias=False)
def model_by_name() -> Any:
    return THING


@both.get("/model/filtered", response_model=Account)
def model_filtered() -> Any:
    return AccountIn(username="u", password="secret")


@both.get("/model/filtered-annotated")
def model_filtered_annotated() -> Account:
    return AccountIn(username="u", password="secret")


@both.get("/model/list")
def model_list() -> list[Thing]:
    return [Thing(name="one"), Thing(name="two", tags=["t"])]


@both.get("/model/dict")
def model_dict() -> dict[str, Part]:
    return {"a": Part(name="a"), "b": Part(name="b", size=2)}


@both.get("/model/union", response_model=Thing | Part)
def model_union() -> Any:
    return Part(name="part")


@both.get("/model/scalar")
def model_scalar() -> int:
    return 7


@both.get("/model/optional")
def model_optional() -> Part | None:
    return None


@both.get("/model/orm", response_model=Orm)
def model_orm() -> Any:
    return Record("record", 5)


@both.get("/model/orm-list", response_model=list[Orm])
def model_orm_list() -> Any:
    return [Record("a", 1), Row("b", 2)]


@both.get("/model/dataclass")
def model_dataclass() -> Row:
    return Row("row")


@both.get("/model/serialized")
def model_serialized() -> Serialized:
    moment = datetime(2024, 2, 29, 12, 30, 15, 250, tzinfo=UTC)
    return Serialized(moment=moment, amount=Decimal("1.50"), identity=UUID(int=7), mood=Mood.good)


@both.get("/model/invalid", response_model=Thing)
def model_invalid() -> Any:
    return {"price": "no number"}


@both.get("/model/off", response_model=None)
def model_off() -> Thing:
    return Thing(name="not validated")


@both.get("/encoded")
def encoded() -> Any:
    return {
        "set": {1},
        "bytes": b"text",
        "moment": datetime(2020, 1, 2, tzinfo=UTC),
        "span": timedelta(seconds=90.5),
        "amount": Decimal("2.0"),
        "mood": Mood.good,
        "path": Path("/a/b"),
        "row": Row("r"),
        "part": Part(name="p"),
        "text": "žluťoučký 馬",
        "generator": list(x for x in range(3)),
        3: None,
    }


@both.get("/encoded/any", response_model=Any)
def encoded_any() -> Any:
    return {"set": {1}, "part": Part(name="p"), "amount": Decimal("2.0"), "text": "žluť"}


@both.get("/encoded/impossible")
def encoded_impossible() -> Any:
    return {"nan": float("nan")}


@both.get("/none")
def none() -> Any:
    return None


@both.get("/class/html", response_class=HTMLResponse)
def class_html() -> Any:
    return "<p>č</p>"


@both.get("/class/text", response_class=PlainTextResponse, status_code=203)
def class_text() -> Any:
    return "text"


@both.get("/class/redirect", response_class=RedirectResponse)
def class_redirect() -> Any:
    return "/def/none?a=č"


@both.get("/class/redirect-status", response_class=RedirectResponse, status_code=302)
def class_redirect_status() -> Any:
    return "/def/none"


@both.get("/class/file", response_class=FileResponse)
def class_file() -> Any:
    return str(sorted(STATIC.iterdir())[0])


@both.get("/class/spaced", response_class=Spaced)
def class_spaced() -> Any:
    return {"a": 1}


@both.get("/class/spaced-model", response_class=Spaced, response_model=Thing)
def class_spaced_model() -> Any:
    return THING


@both.get("/class/json", response_class=JSONResponse, response_model=Part)
def class_json() -> Any:
    return {"name": "žluť"}


@both.get("/class/bare", response_class=Response)
def class_bare() -> Any:
    return Response(b"\x00\xff", media_type="application/octet-stream", headers={"x-bare": "1"})


@both.get("/class/own", response_model=Thing)
def class_own() -> Any:
    """A response is sent as it is, whatever the model."""
    return PlainTextResponse("own", 299, headers={"x-own": "1"})


def parts() -> Iterator[bytes]:
    yield from (b"one ", b"two ", b"three")


async def parts_async() -> AsyncIterator[str]:
    for part in ("one ", "two ", "three"):
        yield part


@both.get("/class/stream", response_class=StreamingResponse)
def class_stream() -> Any:
    return StreamingResponse(parts(), media_type="text/plain")


@both.get("/class/stream-async")
def class_stream_async() -> Any:
    return StreamingResponse(parts_async(), headers={"x-stream": "1"})


@router.get("/def/lines")
def lines() -> Iterator[Part]:
    yield Part(name="one")
    yield Part(name="two", size=2)


@router.get("/async/lines")
async def lines_async() -> AsyncIterator[Part]:
    yield Part(name="one")
    yield Part(name="two", size=2)


@router.get("/def/events", response_class=EventSourceResponse)
def events() -> Iterator[Part]:
    yield Part(name="one")


@router.get("/async/events", response_class=EventSourceResponse)
async def events_async() -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(data={"n": 1}, event="first", id="1", retry=10)
    yield ServerSentEvent(raw_data="raw", comment="said")


@both.get("/status/201", status_code=201)
def status_201() -> Any:
    return {"created": True}


@both.get("/status/204", status_code=204)
def status_204() -> None:
    return None


@both.get("/status/304", status_code=304, response_model=None)
def status_304() -> Any:
    return None


@both.get("/status/injected-304")
def status_injected_304(response: Response) -> Any:
    response.status_code = 304
    response.headers["etag"] = '"e"'
    return {"dropped": True}


@both.get("/status/injected-204")
def status_injected(response: Response) -> Any:
    response.status_code = 204
    return {"dropped": True}


@both.get("/status/body-204", status_code=204)
def status_body() -> Response:
    return Response(status_code=204, headers={"x-empty": "1"})


@both.get("/raise/{code}")
def raises(code: int) -> Any:
    raise HTTPException(code, detail={"code": code, "text": "č"} if code != 418 else None, headers={"x-raised": "1"})


@both.get("/fail")
def fails() -> Any:
    raise RuntimeError("unhandled")
