"""Errors, arguments and results of MCP, between JSON and Python."""

from __future__ import annotations

import inspect
from typing import Any

from freelane.adapters.pyre.exceptions import InvalidValue
from freelane.adapters.pyre.injection import hints_of, is_model, unwrap_optional
from freelane.adapters.pyre.models import loader
from freelane.adapters.pyre.requests import PyreRequest, load_json
from freelane.adapters.pyre.responses import convert
from freelane.fastcore.json.writer import dumps

# JSON-RPC 2.0, 5.1, and MCP's own.
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
RESOURCE_NOT_FOUND, SERVER_ERROR = -32002, -32000

# Those with a handshake, newest first; what came after is in `mcp_modern`. A client that names
# none is one of Pyre's, which knows the oldest.
REVISIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
PYRE_REVISION = "2024-11-05"

JSON_KINDS: dict[str, Any] = {
    "integer": int, "number": (int, float), "string": str, "boolean": bool, "array": list, "object": dict, "null": type(None),
}  # fmt: skip


class RPCError(Exception):
    def __init__(self, code: int, message: str, data: Any = None) -> None:
        self.code, self.message, self.data = code, message, data
        super().__init__(message)


class ParseFailure:
    """Stands for a body that is no JSON."""


def messages(body: str | bytes) -> Any:
    """The parsed body, or a ParseFailure."""
    try:
        return load_json(body.encode() if isinstance(body, str) else body)
    except ValueError:
        return ParseFailure()


def failure(number: Any, exc: RPCError) -> dict[str, Any]:
    """A JSON-RPC error response."""
    error: dict[str, Any] = {"code": exc.code, "message": exc.message}
    if exc.data is not None:
        error["data"] = exc.data
    return {"jsonrpc": "2.0", "id": number, "error": error}


def contents(result: Any) -> list[dict[str, Any]]:
    """A tool's result as MCP content."""
    if isinstance(result, str):
        text = result
    elif isinstance(result, (dict, list, tuple)) or is_model(type(result)):
        text = dumps(result, convert).decode()
    else:
        text = str(result)
    return [{"type": "text", "text": text}]


def checked_arguments(tool: dict[str, Any], arguments: Any) -> dict[str, Any]:
    """Arguments that fit the tool's schema, models made of their objects. Raises RPCError."""
    if not isinstance(arguments, dict):
        raise RPCError(INVALID_PARAMS, "Invalid params: arguments must be an object")
    schema, function = tool["inputSchema"], tool["handler"]
    missing = [name for name in schema.get("required", []) if name not in arguments]
    if missing:
        raise RPCError(INVALID_PARAMS, f"Invalid params: missing {', '.join(missing)}")
    takes_any = any(item.kind is item.VAR_KEYWORD for item in inspect.signature(function).parameters.values())
    unknown = [name for name in arguments if name not in schema["properties"]]
    if unknown and not takes_any:
        raise RPCError(INVALID_PARAMS, f"Invalid params: unknown {', '.join(unknown)}")
    hints = hints_of(function)
    fitting = dict(arguments)
    for name, value in arguments.items():
        kind = schema["properties"].get(name, {}).get("type")
        expected = JSON_KINDS.get(kind) if name in hints else None
        if expected is not None and (not isinstance(value, expected) or (isinstance(value, bool) and kind != "boolean")):
            raise RPCError(INVALID_PARAMS, f"Invalid params: {name} must be of type {kind}")
        hint, _ = unwrap_optional(hints.get(name))
        if is_model(hint) and isinstance(value, dict):
            fitting[name] = made(name, hint, value)
    return fitting


def made(name: str, hint: Any, value: dict[str, Any]) -> Any:
    try:
        return loader(hint)(name, PyreRequest(body=dumps(value)))
    except InvalidValue as exc:
        raise RPCError(INVALID_PARAMS, f"Invalid params: {exc.message}") from None
