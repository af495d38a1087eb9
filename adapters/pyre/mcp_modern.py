"""MCP without a handshake: revision 2026-07-28, where each request says all that it needs.

modelcontextprotocol.io/specification/2026-07-28, "Streamable HTTP" and "Per-request protocol fields".
"""

from __future__ import annotations

import base64
from typing import Any

from freelane.adapters.pyre.mcp_values import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, RPCError
from freelane.adapters.pyre.requests import PyreRequest
from freelane.adapters.pyre.responses import PyreResponse
from freelane.fastcore.json.writer import dumps

REVISIONS = ("2026-07-28",)
HEADER_MISMATCH, UNSUPPORTED = -32020, -32022

META = "io.modelcontextprotocol/"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
CACHEABLE = ("server/discover", "tools/list", "resources/list", "resources/templates/list", "resources/read", "prompts/list")
# The HTTP status of an error; 200 for others.
STATUS = {PARSE_ERROR: 400, INVALID_REQUEST: 400, INVALID_PARAMS: 400, HEADER_MISMATCH: 400, UNSUPPORTED: 400,
          METHOD_NOT_FOUND: 404}  # fmt: skip


def check(request: PyreRequest, message: Any) -> None:
    """Raises RPCError for a request that does not say what it must, or that its headers contradict."""
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        raise RPCError(INVALID_REQUEST, "Invalid Request")
    headers, method, params = request.headers, message["method"], as_dict(message.get("params"))
    wanted = headers.get("mcp-protocol-version")
    if "id" in message:
        meta = as_dict(params.get("_meta"))
        missing = [key for key in ("protocolVersion", "clientCapabilities") if META + key not in meta]
        if missing:
            raise RPCError(INVALID_PARAMS, f"params._meta lacks {', '.join(META + key for key in missing)}")
        if wanted != meta[META + "protocolVersion"]:
            raise RPCError(HEADER_MISMATCH, "MCP-Protocol-Version does not match params._meta")
        if headers.get("mcp-method") != method:
            raise RPCError(HEADER_MISMATCH, "Mcp-Method does not match the method")
        name = params.get(NAMED.get(method))
        if name is not None and decoded(headers.get("mcp-name", "")) != name:
            raise RPCError(HEADER_MISMATCH, f"Mcp-Name does not match params.{NAMED[method]}")
    if wanted not in REVISIONS:
        raise RPCError(UNSUPPORTED, "Unsupported protocol version", {"supported": list(REVISIONS), "requested": wanted})


def as_dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def decoded(value: str) -> str:
    """A header's value; ``=?base64?…?=`` stands for one that headers cannot carry."""
    if value.startswith("=?base64?") and value.endswith("?="):
        try:
            return base64.b64decode(value[9:-2], validate=True).decode()
        except ValueError:
            return ""
    return value


def respond(message: Any, answer: dict[str, Any] | None) -> PyreResponse:
    """The response to a checked request; 202 for a notification."""
    if answer is None:
        return PyreResponse(b"", 202)
    if "error" in answer:
        return PyreResponse(dumps(answer), STATUS.get(answer["error"]["code"], 200), "application/json")
    result = {"resultType": "complete", **answer["result"]}
    if message["method"] in CACHEABLE:
        result = {"ttlMs": 0, "cacheScope": "private", **result}
    return PyreResponse(dumps({**answer, "result": result}), content_type="application/json")
