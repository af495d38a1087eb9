"""Headers, query strings and JSON of requests, as Python values."""

from __future__ import annotations

import json
import threading
from typing import Any
from urllib.parse import parse_qsl

local = threading.local()


def merge(pairs: Any) -> dict[str, str]:
    """Header pairs as a dict; what comes several times is joined (RFC 9110, 5.3; RFC 9113, 8.2.3)."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        if type(name) is bytes:
            name = name.decode("latin-1")
            try:
                value = value.decode()
            except UnicodeDecodeError:
                value = value.decode("latin-1")
        known = headers.get(name)
        headers[name] = value if known is None else f"{known}{'; ' if name == 'cookie' else ', '}{value}"
    return headers


def query_pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True, errors="replace", max_num_fields=10_000) if query else []


def load_json(data: bytes) -> Any:
    """JSON as Python values. Raises ValueError, which NaN and infinities are too."""
    decoder = getattr(local, "decoder", None)
    if decoder is None:
        # One a thread: it keeps state while it works.
        decoder = local.decoder = json.JSONDecoder(parse_constant=refuse)
    try:
        text = str(data, "utf-8")
        try:
            value, end = decoder.scan_once(text, 0)  # type: ignore[union-attr]
            if end == len(text):
                return value
        except StopIteration:
            pass
        return decoder.decode(text)  # spaces around it, or an error with its place
    except RecursionError:
        raise ValueError("JSON parse error: nested too deeply") from None
    except ValueError as exc:
        raise ValueError(f"JSON parse error: {exc}") from None


def refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
