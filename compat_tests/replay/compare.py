"""What counts as a difference between two traces, and what does not, each with its reason."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

from .frames import Frame
from .wire import Answer, Fact, Observation

# Header -> why its value is not compared.
IGNORED = {
    "date": "the time of the answer",
    "server": "each server's own name",
    # Whether the connection really stays open is observed by the cases that ask for it.
    "connection": "connection management",
    "keep-alive": "connection management",
}
# The signed part of a session cookie holds the second it was made in.
_SESSION = re.compile(rb"(session=[^.;]*)\.[^;]*")
# Starlette draws a random boundary for several byte ranges.
_BOUNDARY = re.compile(rb"multipart/byteranges; boundary=([0-9a-f]+)")
_LONGEST_SHOWN = 300

# Aspect -> what the reference showed of it, and what the tested server did.
Differences = dict[str, tuple[str, str]]


def _shown(data: bytes) -> str:
    text = ascii(data)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}... ({len(data)} bytes, {hash_of(data)})"


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _answer(answer: Answer) -> dict[str, str]:
    body = answer.body
    headers = [(name, value) for name, value in answer.headers if name not in IGNORED]
    if answer.values("content-encoding") == [b"gzip"] and answer.whole and body:
        # A gzip header holds the time, and zlib builds may choose other bytes for the same text.
        body = gzip.decompress(body)
        headers = [(name, value) for name, value in headers if name != "content-length"]
    boundary = _BOUNDARY.search(b"".join(answer.values("content-type")))
    if boundary:
        body = body.replace(boundary[1], b"BOUNDARY")
        headers = [(name, value.replace(boundary[1], b"BOUNDARY")) for name, value in headers]
    headers = [(n, _SESSION.sub(rb"\1.SIGNED", v)) if n == "set-cookie" else (n, v) for n, v in headers]
    made = {"status": answer.status_line, "body": _shown(body), "whole": str(answer.whole)}
    for name in {name for name, _ in headers}:
        values = Counter(value for key, value in headers if key == name)
        made[f"header {name}"] = ", ".join(ascii(value) for value in sorted(values.elements()))
    return made


def _seen(observation: Observation | None) -> dict[str, str]:
    match observation:
        case None:
            return {}
        case Answer():
            return _answer(observation)
        case Frame():
            kind = f"opcode {observation.opcode} final {observation.final} reserved {observation.reserved}"
            return {"frame": f"{kind} {_shown(observation.payload)}"}
        case Fact():
            return {observation.name: observation.value}


def differences(
    reference: Sequence[Observation], tested: Sequence[Observation], *, reason_phrase: bool = True
) -> dict[str, tuple[str, str]]:
    """Aspect -> (reference, tested), for each aspect of each step that is not the same.

    Without ``reason_phrase`` only the status code counts of a status line.
    """
    found = {}
    for step, (left, right) in enumerate(zip_longest(reference, tested)):
        ours, theirs = _seen(left), _seen(right)
        for aspect in sorted(ours.keys() | theirs.keys()):
            pair = (ours.get(aspect, "absent"), theirs.get(aspect, "absent"))
            if aspect == "status" and not reason_phrase:
                pair = (pair[0][:12], pair[1][:12])
            if pair[0] != pair[1]:
                found[f"{step} {aspect}"] = pair
    return found
