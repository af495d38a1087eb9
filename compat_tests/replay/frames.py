"""WebSocket frames, byte for byte (RFC 6455, section 5)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
# Fixed, so that a replay sends the same bytes each time.
MASK = b"\x12\x34\x56\x78"


@dataclass
class Frame:
    opcode: int
    final: bool
    reserved: int
    payload: bytes


def _masked(payload: bytes) -> bytes:
    key = (MASK * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(len(payload))


def encode(opcode: int, payload: bytes, *, final: bool = True, masked: bool = True) -> bytes:
    first = opcode | (0x80 if final else 0)
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, len(payload) | bit)
    elif len(payload) < 65_536:
        head = struct.pack("!BBH", first, 126 | bit, len(payload))
    else:
        head = struct.pack("!BBQ", first, 127 | bit, len(payload))
    return head + (MASK + _masked(payload) if masked else payload)


def read_frame(exactly: Callable[[int], bytes]) -> Frame:
    first, second = exactly(2)
    length = second & 0x7F
    if length == 126:
        length = int.from_bytes(exactly(2))
    elif length == 127:
        length = int.from_bytes(exactly(8))
    return Frame(first & 0x0F, bool(first & 0x80), (first >> 4) & 0x7, exactly(length))


def close_payload(code: int, reason: str = "") -> bytes:
    return struct.pack("!H", code) + reason.encode()
