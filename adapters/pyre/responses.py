"""What a handler may return, and the status, headers and body that it becomes."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import re
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from freelane.adapters.pyre.streams import Channel, PyreStream
from freelane.fastcore.json.writer import JSONError, dumps

Headers = list[tuple[str, str]]

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
BYTES_TYPE = "application/octet-stream"

# RFC 9110, 5.1 and 5.5.
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*").fullmatch
# What the server computes for itself.
FRAMING = frozenset(("content-length", "transfer-encoding", "connection", "keep-alive"))


class PyreResponse:
    """A response: any body that a handler may return, a status, a content type, headers.

    A header's value may be a list, for one that is sent several times.
    """

    __slots__ = ("body", "status_code", "content_type", "headers")

    media_type: str | None = None

    def __init__(
        self,
        body: Any = "",
        status_code: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        self.body = body
        self.status_code = status_code
        self.content_type = self.media_type if content_type is None else content_type
        self.headers: dict[str, Any] = {} if headers is None else dict(headers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(status_code={self.status_code}, content_type={self.content_type!r})"


class JSONResponse(PyreResponse):
    """The body is written as JSON, a ``str`` included."""

    __slots__ = ()
    media_type = JSON_TYPE


class HTMLResponse(PyreResponse):
    __slots__ = ()
    media_type = "text/html; charset=utf-8"


class PlainTextResponse(PyreResponse):
    __slots__ = ()
    media_type = TEXT_TYPE


def redirect(url: str, status_code: int = 302) -> PyreResponse:
    """A redirect to ``url``."""
    return PyreResponse(body="", status_code=status_code, headers={"location": url})


class Answer(NamedTuple):
    """A response as it is sent: checked headers, and a body that is whole or a stream."""

    status: int
    headers: Headers
    body: bytes | Channel


class HeaderError(ValueError):
    """A response header that HTTP cannot carry."""


def convert(value: Any) -> Any:
    """A JSON form of what JSON has none for; NotImplemented where there is none."""
    dump = getattr(type(value), "model_dump", None)
    if dump is not None:
        return dump(value, mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    fields = getattr(type(value), "__struct_fields__", None)
    if fields is not None:
        return {name: getattr(value, name) for name in fields}
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, enum.Enum):
        return value.value
    return NotImplemented


def is_model(value: Any) -> bool:
    kind = type(value)
    return hasattr(kind, "model_dump") or hasattr(kind, "__struct_fields__") or dataclasses.is_dataclass(kind)


def content(body: Any) -> tuple[str, bytes | Channel]:
    """The content type that a body suggests, and the body as it is sent."""
    kind = type(body)
    if kind is dict or kind is list:
        return JSON_TYPE, dumps(body, convert)
    if isinstance(body, str):
        data = body.encode("utf-8", "replace")
        return JSON_TYPE if data[:1] in (b"{", b"[") else TEXT_TYPE, data
    if isinstance(body, (bytes, bytearray, memoryview)):
        return BYTES_TYPE, bytes(body)
    if isinstance(body, (dict, list)) or is_model(body):
        return JSON_TYPE, dumps(body, convert)
    if isinstance(body, PyreStream):
        return body.content_type, body.take()
    if isinstance(body, (Iterator, AsyncIterator)):
        return TEXT_TYPE, Channel.of(body)
    return TEXT_TYPE, str(body).encode("utf-8", "replace")


def header_pairs(headers: Mapping[Any, Any]) -> Headers:
    """Checked pairs, names in lower case. Raises HeaderError."""
    pairs: Headers = []
    for name, value in list(headers.items()):
        name = str(name)
        if not NAME(name):
            raise HeaderError(f"invalid header name {name!r}")
        name = name.lower()
        if name in FRAMING:
            continue
        values: Iterable[Any] = value if isinstance(value, (list, tuple)) else getattr(value, "values", (value,))
        for item in values:
            text = str(item)
            if not VALUE(text):
                raise HeaderError(f"the value of header {name!r} has control characters")
            if not text.isascii():
                if name != "location":
                    raise HeaderError(f"the value of header {name!r} is not ASCII")
                text = quote(text, safe="%/:?#[]@!$&'()*+,;=")
            pairs.append((name, text.strip()))
    return pairs


def render(value: Any) -> Answer:
    """What a handler's return value is sent as. Raises JSONError and HeaderError."""
    kind = type(value)
    if kind is dict or kind is list:
        return Answer(200, [("content-type", JSON_TYPE)], dumps(value, convert))
    if kind is str:
        data = value.encode("utf-8", "replace")
        content_type = JSON_TYPE if data[:1] in (b"{", b"[") else TEXT_TYPE
        return Answer(200, [("content-type", content_type)], data)
    if isinstance(value, PyreResponse):
        return render_response(value)
    if isinstance(value, PyreStream):
        pairs = [("content-type", value.content_type), ("cache-control", "no-cache")]
        given = header_pairs(value.headers)
        names = {name for name, _ in given}
        return Answer(value.status_code, [pair for pair in pairs if pair[0] not in names] + given, value.take())
    if kind is tuple and 2 <= len(value) <= 3 and type(value[1]) is int and 200 <= value[1] <= 599:
        answer = render(value[0])
        extra = header_pairs(value[2]) if len(value) == 3 else []
        return Answer(value[1], answer.headers + extra, b"" if value[1] in (204, 304) else answer.body)
    content_type, body = content(value)
    return Answer(200, [("content-type", content_type)], body)


def render_response(response: PyreResponse) -> Answer:
    pairs = header_pairs(response.headers)
    if isinstance(response, JSONResponse):
        suggested: str = JSON_TYPE
        body: bytes | Channel = dumps(response.body, convert)
    else:
        suggested, body = content(response.body)
    if not any(name == "content-type" for name, _ in pairs):
        content_type = response.content_type or suggested
        if not VALUE(content_type) or not content_type.isascii():
            raise HeaderError("the content type has control characters or is not ASCII")
        pairs.insert(0, ("content-type", content_type))
    status = response.status_code
    return Answer(status if 200 <= status <= 999 else 200, pairs, b"" if status in (204, 304) else body)


def as_response(answer: Answer) -> PyreResponse:
    """What an after_request hook is given; text bodies as ``str``."""
    headers: dict[str, Any] = {}
    content_type = None
    for name, value in answer.headers:
        if name == "content-type":
            content_type = value
        elif name in headers:
            known = headers[name]
            headers[name] = Several((known.values if isinstance(known, Several) else (known,)) + (value,))
        else:
            headers[name] = value
    body: Any = answer.body
    if isinstance(body, Channel):
        body = PyreStream.over(body)
    else:
        try:
            body = body.decode()
        except UnicodeDecodeError:
            pass
    return PyreResponse(body, answer.status, content_type, headers)


class Several(str):
    """A header's values, in a ``str`` that a copy of the headers keeps whole."""

    values: tuple[str, ...]

    def __new__(cls, values: tuple[str, ...]) -> Several:
        self = super().__new__(cls, ", ".join(values))
        self.values = values
        return self


def error(status: int, message: str, headers: Headers | tuple[()] = (), **more: Any) -> Answer:
    """``{"error": message}``, the form of every error that is not a handler's own."""
    return Answer(status, [("content-type", JSON_TYPE), *headers], dumps({"error": message, **more}))


__all__ = ["Answer", "HTMLResponse", "JSONError", "JSONResponse", "PlainTextResponse", "PyreResponse", "redirect"]
