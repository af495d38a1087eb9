"""multipart/form-data (RFC 7578), parsed by python-multipart with limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_PARTS = 1000
MAX_HEADER = 16 * 1024  # bytes of one part's headers


@dataclass(frozen=True, slots=True)
class UploadFile:
    """A file, or a field, whose ``filename`` is None."""

    name: str
    filename: str | None
    content_type: str
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", errors="replace")

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)


class Form(dict[str, UploadFile]):
    """Fields by name, the last of each; ``getlist`` has all of them."""

    def __init__(self, parts: list[UploadFile]) -> None:
        super().__init__((part.name, part) for part in parts)
        self.parts = parts

    def getlist(self, name: str) -> list[UploadFile]:
        return [part for part in self.parts if part.name == name]


class Collector:
    """What the parser calls as it meets the parts."""

    def __init__(self, max_parts: int) -> None:
        self.max_parts = max_parts
        self.parts: list[UploadFile] = []
        self.ended = False

    def on_part_begin(self) -> None:
        if len(self.parts) >= self.max_parts:
            raise ValueError(f"more than {self.max_parts} parts")
        self.headers: dict[bytes, bytes] = {}
        self.field, self.value, self.data = bytearray(), bytearray(), bytearray()
        self.size = 0

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.count(end - start)
        self.field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.count(end - start)
        self.value += data[start:end]

    def count(self, size: int) -> None:
        self.size += size
        if self.size > MAX_HEADER:
            raise ValueError(f"the headers of a part have more than {MAX_HEADER} bytes")

    def on_header_end(self) -> None:
        self.headers[bytes(self.field).lower()] = bytes(self.value)
        self.field, self.value = bytearray(), bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.data += data[start:end]

    def on_part_end(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self.headers.get(b"content-disposition", b""))
        name = options.get(b"name")
        if name is None:
            raise ValueError("a part has no name")
        filename = options.get(b"filename")
        default = b"text/plain" if filename is None else b"application/octet-stream"
        self.parts.append(
            UploadFile(
                text(name),
                None if filename is None else text(filename),
                self.headers.get(b"content-type", default).decode("latin-1"),
                bytes(self.data),
            )
        )

    def on_end(self) -> None:
        self.ended = True


def text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def parse_multipart(req: Any, *, max_parts: int = MAX_PARTS) -> Form:
    """The fields and files of a request. Raises ValueError for what is no complete multipart/form-data."""
    try:
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser, parse_options_header
    except ImportError:
        raise ImportError("parse_multipart() needs python-multipart: install 'freelane[pyre]'") from None
    given = req.headers.get("content-type", "")
    kind, options = parse_options_header(given)
    if kind.lower() != b"multipart/form-data":
        raise ValueError(f"Expected multipart/form-data, got: {given}")
    boundary = options.get(b"boundary")
    if not boundary:
        raise ValueError("Missing boundary in Content-Type")
    body = req.body if isinstance(req.body, bytes) else req.body.encode()
    collector = Collector(max_parts)
    names = [name for name in dir(collector) if name.startswith("on_")]
    try:
        parser = MultipartParser(boundary, {name: getattr(collector, name) for name in names})  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as exc:
        raise ValueError(f"malformed multipart body: {exc}") from None
    if not collector.ended:
        raise ValueError("malformed multipart body: it ends before its last boundary")
    return Form(collector.parts)
