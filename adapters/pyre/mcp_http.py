"""MCP over streamable HTTP: one endpoint, each answer a single JSON document, without sessions.

modelcontextprotocol.io/specification, "Transports".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from freelane.adapters.coroutines import finish
from freelane.adapters.pyre import mcp_modern
from freelane.adapters.pyre.mcp_calls import Call, call_here, call_on_loop
from freelane.adapters.pyre.mcp_values import (
    PARSE_ERROR,
    PYRE_REVISION,
    REVISIONS,
    ParseFailure,
    RPCError,
    failure,
    messages,
)
from freelane.adapters.pyre.requests import PyreRequest
from freelane.adapters.pyre.responses import PyreResponse
from freelane.adapters.pyre.routes import Route

if TYPE_CHECKING:
    from freelane.adapters.pyre.app import Pyre
    from freelane.adapters.pyre.mcp import MCPServer


def routes(server: MCPServer, app: Pyre, on_loop: bool) -> list[Route]:
    """The endpoint's routes; ``on_loop`` where some function of the app's is ``async def``."""

    async def answer(request: PyreRequest, call: Call) -> PyreResponse:
        if (refused := refusal(app, request)) is not None:
            return refused
        found = messages(request.body)
        if request.headers.get("mcp-protocol-version", PYRE_REVISION) in REVISIONS:
            text = await server.handle(found, call)
            return PyreResponse(text, content_type="application/json") if text else PyreResponse(b"", 202)
        # A revision without handshake, or none that we know.
        try:
            if isinstance(found, ParseFailure):
                raise RPCError(PARSE_ERROR, "Parse error")
            mcp_modern.check(request, found)
        except RPCError as exc:
            number = found.get("id") if isinstance(found, dict) else None
            return mcp_modern.respond(found, failure(number, exc))
        return mcp_modern.respond(found, await server.answer(found, call))

    async def endpoint_on_loop(request: PyreRequest) -> PyreResponse:
        return await answer(request, call_on_loop)

    def endpoint(request: PyreRequest) -> PyreResponse:
        return finish(answer(request, call_here))

    def no_stream(request: PyreRequest) -> PyreResponse:
        # "405 … the server does not offer an SSE stream at this endpoint."
        return PyreResponse({"error": "method not allowed"}, 405, headers={"allow": "POST"})

    return [
        Route("POST", "/mcp", endpoint_on_loop if on_loop else endpoint),
        Route("GET", "/mcp", no_stream),
        Route("DELETE", "/mcp", no_stream),
    ]


def refusal(app: Pyre, request: PyreRequest) -> PyreResponse | None:
    """The answer to a request that streamable HTTP asks servers to refuse."""
    origin = request.headers.get("origin")
    if origin is not None:
        # Against DNS rebinding: a page may only call the host that it came from.
        same = origin.partition("://")[2] == request.headers.get("host")
        if not same and (app.cors is None or not app.cors.allows(origin)):
            return PyreResponse({"error": "origin not allowed"}, 403)
    return None
