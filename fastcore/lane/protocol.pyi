from collections.abc import MutableMapping
from typing import Any

VERSION: int
READY: int
FAILED: int
REQUEST: int
RESPONSE: int
BODY: int
ACCEPT: int
MESSAGE: int
CLOSE: int
CREDIT: int
RESET: int
PING: int
PONG: int
GOAWAY: int
ROUTE: int
SCOPE: int
RAISED: int
END: int
TEXT: int
SOON: int
WINDOW: int
MAX_CHUNK: int
MAX_HEAD: int
MAX_INLINE: int
MAX_REASON: int
MAX_MESSAGE: int
LIMITS: dict[int, int]
EXACT: tuple[int, ...]
VERSIONS: tuple[str, ...]
FROM_LANE: tuple[int, ...]
FROM_SERVER: tuple[int, ...]
HEADER_SIZE: int

class ProtocolError(Exception): ...

def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes: ...
def frame_head(kind: int, flags: int, stream: int, length: int) -> bytes: ...
def number_frame(kind: int, stream: int, number: int) -> bytes: ...
def close_payload(code: int, reason: str) -> bytes: ...
def soon(response: bytes) -> bytes: ...
def join_message(parts: list[bytes], flags: int, data: bytes) -> bytes | None: ...
def close_frame(stream: int, code: int, reason: str) -> bytes: ...
def encode_request(stream: int, scope: MutableMapping[str, Any], body: bytes, end: bool) -> bytes: ...
def encode_route(stream: int, route: int, scope: bytes, body: bytes, end: bool) -> bytes: ...
def encode_response(stream: int, status: int, headers: list[tuple[bytes, bytes]], body: bytes, end: bool) -> bytes: ...
def encode_accept(stream: int, subprotocol: str | None, headers: list[tuple[bytes, bytes]]) -> bytes: ...
def has_body(scope: MutableMapping[str, Any]) -> bool: ...
