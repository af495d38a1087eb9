"""Path, query, header and cookie parameters."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Cookie, Header, Path, Query
from pydantic import AfterValidator, AnyUrl, BaseModel, BeforeValidator, EmailStr, Field, Json, field_validator

from .both import Both

router = APIRouter()
both = Both(router)


class Colour(str, Enum):
    red = "red"
    green = "green"


class Level(IntEnum):
    low = 1
    high = 2


def even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even")
    return value


def asserted(value: str) -> str:
    assert value != "no", "no is not allowed"
    return value


def seen(**values: Any) -> dict[str, Any]:
    """Values with their types, so that 1 and "1" differ in the answer."""
    return {name: [type(value).__name__, repr(value)] for name, value in values.items()}


@both.get("/path/int/{value}")
def path_int(value: int) -> Any:
    return seen(value=value)


@both.get("/path/str/{value}")
def path_str(value: str) -> Any:
    return seen(value=value)


@both.get("/path/float/{value}")
def path_float(value: float) -> Any:
    return seen(value=value)


@both.get("/path/bool/{value}")
def path_bool(value: bool) -> Any:
    return seen(value=value)


@both.get("/path/uuid/{value}")
def path_uuid(value: UUID) -> Any:
    return seen(value=value)


@both.get("/path/date/{value}")
def path_date(value: date) -> Any:
    return seen(value=value)


@both.get("/path/enum/{value}")
def path_enum(value: Colour) -> Any:
    return seen(value=value)


@both.get("/path/literal/{value}")
def path_literal(value: Literal["a", "b"]) -> Any:
    return seen(value=value)


@both.get("/path/constrained/{value}")
def path_constrained(value: Annotated[int, Path(gt=0, le=100, multiple_of=5, title="A number")]) -> Any:
    return seen(value=value)


@both.get("/path/pattern/{value}")
def path_pattern(value: str = Path(min_length=2, max_length=5, pattern="^[a-z]+$")) -> Any:
    return seen(value=value)


@both.get("/path/rest/{value:path}")
def path_rest(value: str) -> Any:
    return seen(value=value)


@both.get("/path/converted/{value:int}")
def path_converted(value: int) -> Any:
    return seen(value=value)


@both.get("/path/two/{first}/and/{second}")
def path_two(second: float, first: int) -> Any:
    return seen(first=first, second=second)


@both.get("/path/alias/{item_id}")
def path_alias(value: Annotated[int, Path(alias="item_id")]) -> Any:
    return seen(value=value)


@both.get("/query/required")
def query_required(value: int) -> Any:
    return seen(value=value)


@both.get("/query/default")
def query_default(skip: int = 0, limit: int = 10, q: str | None = None) -> Any:
    return seen(skip=skip, limit=limit, q=q)


@both.get("/query/annotated")
def query_annotated(q: Annotated[str | None, Query(min_length=3, max_length=8, pattern="^f")] = None) -> Any:
    return seen(q=q)


@both.get("/query/styled")
def query_styled(q: str = Query("fixed", min_length=3, alias="item-query", deprecated=True)) -> Any:
    return seen(q=q)


@both.get("/query/lists")
def query_lists(
    tags: Annotated[list[str], Query()] = ["none"],
    numbers: Annotated[set[int], Query()] = set(),
    pair: Annotated[tuple[int, str] | None, Query()] = None,
) -> Any:
    return seen(tags=tags, numbers=sorted(numbers), pair=pair)


@both.get("/query/required-list")
def query_required_list(tags: Annotated[list[int], Query(min_length=2)]) -> Any:
    return seen(tags=tags)


@both.get("/query/bool")
def query_bool(flag: bool = False) -> Any:
    return seen(flag=flag)


@both.get("/query/kinds")
def query_kinds(
    day: date | None = None,
    moment: datetime | None = None,
    clock: time | None = None,
    span: timedelta | None = None,
    price: Decimal | None = None,
    colour: Colour | None = None,
    level: Level | None = None,
    raw: bytes | None = None,
    url: AnyUrl | None = None,
    mail: EmailStr | None = None,
    identity: UUID | None = None,
) -> Any:
    given = {name: value for name, value in locals().items() if value is not None}
    return seen(**given)


@both.get("/query/json")
def query_json(value: Annotated[Json[list[int]], Query()]) -> Any:
    return seen(value=value)


@both.get("/query/union")
def query_union(value: int | bool | str = "unset") -> Any:
    return seen(value=value)


@both.get("/query/validated")
def query_validated(
    number: Annotated[int, AfterValidator(even)] = 0,
    word: Annotated[str, BeforeValidator(asserted)] = "yes",
) -> Any:
    return seen(number=number, word=word)


@both.get("/query/bounded")
def query_bounded(
    size: Annotated[float, Query(gt=0, lt=10.5)],
    count: Annotated[int, Query(ge=1, le=3)] = 2,
    finite: Annotated[float, Query(allow_inf_nan=False)] = 0.5,
) -> Any:
    return seen(size=size, count=count, finite=finite)


@both.get("/query/factory")
def query_factory(values: Annotated[list[str], Query(default_factory=lambda: ["made"])]) -> Any:
    return seen(values=values)


@both.get("/query/many")
def query_many(a: int, b: int, c: Annotated[int, Query(alias="see")], d: str = "d", e: float = 1.5) -> Any:
    return seen(a=a, b=b, c=c, d=d, e=e)


@both.get("/header/one")
def header_one(user_agent: Annotated[str | None, Header()] = None, x_number: Annotated[int, Header()] = 7) -> Any:
    return seen(user_agent=user_agent, x_number=x_number)


@both.get("/header/required")
def header_required(x_token: Annotated[str, Header()], x_count: int = Header(ge=2)) -> Any:
    return seen(x_token=x_token, x_count=x_count)


@both.get("/header/underscores")
def header_underscores(strange_header: Annotated[str | None, Header(convert_underscores=False)] = None) -> Any:
    return seen(strange_header=strange_header)


@both.get("/header/list")
def header_list(x_tag: Annotated[list[str] | None, Header()] = None) -> Any:
    return seen(x_tag=x_tag)


@both.get("/header/alias")
def header_alias(value: Annotated[str, Header(alias="X-Spelled-Out")] = "unset") -> Any:
    return seen(value=value)


@both.get("/cookie/one")
def cookie_one(session: Annotated[str | None, Cookie()] = None, visits: Annotated[int, Cookie(ge=0)] = 0) -> Any:
    return seen(session=session, visits=visits)


@both.get("/cookie/required")
def cookie_required(ads_id: str = Cookie(alias="ads")) -> Any:
    return seen(ads_id=ads_id)


class Filter(BaseModel):
    model_config = {"extra": "forbid"}

    limit: int = Field(100, gt=0, le=100)
    order_by: Literal["created_at", "updated_at"] = "created_at"
    tags: list[str] = []

    @field_validator("tags")
    @classmethod
    def few(cls, tags: list[str]) -> list[str]:
        if len(tags) > 2:
            raise ValueError("too many tags")
        return tags


class Loose(BaseModel):
    model_config = {"extra": "allow"}

    q: str = "none"
    page: int = Field(1, alias="p")


class CommonHeaders(BaseModel):
    host: str
    save_data: bool = False
    if_modified_since: str | None = None
    x_tag: list[str] = []


class Cookies(BaseModel):
    session_id: str
    tracker: int | None = None


@both.get("/model/query")
def model_query(filters: Annotated[Filter, Query()]) -> Any:
    return filters


@both.get("/model/loose")
def model_loose(values: Annotated[Loose, Query()]) -> Any:
    return values.model_dump()


@both.get("/model/header")
def model_header(headers: Annotated[CommonHeaders, Header()]) -> Any:
    return headers


@both.get("/model/cookie")
def model_cookie(cookies: Annotated[Cookies, Cookie()]) -> Any:
    return cookies


@both.post("/all/{item_id}")
def of_each_kind(
    item_id: Annotated[int, Path(ge=1)],
    q: Annotated[int, Query()],
    x_one: Annotated[int, Header()],
    one: Annotated[int, Cookie()],
    body: dict[str, int],
) -> Any:
    return seen(item_id=item_id, q=q, x_one=x_one, one=one, body=body)
