"""Model Context Protocol: tools, resources and prompts over JSON-RPC 2.0.

modelcontextprotocol.io/specification. Nothing is kept of a client, so any number of threads
serve them. Over HTTP: ``mcp_http``.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from freelane.adapters.coroutines import finish
from freelane.adapters.pyre import mcp_http, mcp_modern
from freelane.adapters.pyre.injection import is_model
from freelane.adapters.pyre.mcp_calls import Call, call_here
from freelane.adapters.pyre.mcp_values import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    PYRE_REVISION,
    RESOURCE_NOT_FOUND,
    REVISIONS,
    SERVER_ERROR,
    ParseFailure,
    RPCError,
    checked_arguments,
    contents,
    failure,
    messages,
)
from freelane.adapters.pyre.responses import convert
from freelane.adapters.pyre.routes import Route, is_async
from freelane.adapters.pyre.schemas import arguments_schema as _extract_schema
from freelane.fastcore.json.writer import dumps
from freelane.fastcore.version import __version__

if TYPE_CHECKING:
    from freelane.adapters.pyre.app import Pyre

F = TypeVar("F", bound=Callable[..., Any])

CAPABILITIES = {
    "tools": {"listChanged": False},
    "resources": {"subscribe": False, "listChanged": False},
    "prompts": {"listChanged": False},
}


class MCPServer:
    """What AI clients may call and read. Registered with decorators, served by the app at ``POST /mcp``."""

    def __init__(self, name: str = "pyre-mcp") -> None:
        self.name = name
        self.instructions: str | None = None
        self._tools: dict[str, dict[str, Any]] = {}
        self._resources: dict[str, dict[str, Any]] = {}
        self._prompts: dict[str, dict[str, Any]] = {}
        self.changed: Callable[[], None] = lambda: None

    # -- registration

    @overload
    def tool(
        self,
        fn: None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        input_schema: dict[str, Any] | None = None,
    ) -> Callable[[F], F]: ...
    @overload
    def tool(
        self,
        fn: F,
        *,
        name: str | None = None,
        description: str | None = None,
        input_schema: dict[str, Any] | None = None,
    ) -> F: ...
    def tool(
        self,
        fn: F | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        input_schema: dict[str, Any] | None = None,
    ) -> F | Callable[[F], F]:
        """Register a function that models may call; its hints are its schema."""

        def register(function: F) -> F:
            title = name or function.__name__
            schema = input_schema or _extract_schema(function)
            checked = input_schema is None
            return self.add(self._tools, title, function, description, name=title, inputSchema=schema, checked=checked)

        return register if fn is None else register(fn)

    def resource(
        self, uri: str, *, name: str | None = None, description: str | None = None, mime_type: str = "application/json"
    ) -> Callable[[F], F]:
        """Register what may be read at ``uri``; ``{name}`` in it makes a template with parameters."""

        def register(function: F) -> F:
            parts = re.split(r"\{(\w+)\}", uri)
            pattern = "".join(re.escape(p) if i % 2 == 0 else f"(?P<{p}>[^/]+)" for i, p in enumerate(parts))
            template = re.compile(pattern) if len(parts) > 1 else None
            title = name or function.__name__
            return self.add(
                self._resources, uri, function, description, uri=uri, name=title, mimeType=mime_type, template=template
            )

        return register

    def prompt(
        self, name: str, *, description: str | None = None, arguments: list[dict[str, Any]] | None = None
    ) -> Callable[[F], F]:
        """Register a prompt; the function returns its text, or a list of messages."""

        def register(function: F) -> F:
            known = arguments or [
                {"name": key, "required": item.default is inspect.Parameter.empty}
                for key, item in inspect.signature(function).parameters.items()
            ]
            return self.add(self._prompts, name, function, description, name=name, arguments=known)

        return register

    def add(self, items: dict[str, dict[str, Any]], key: str, function: F, description: str | None, /, **more: Any) -> F:
        told = description or inspect.getdoc(function) or ""
        items[key] = {**more, "description": told, "handler": function}
        self.changed()
        return function

    # -- JSON-RPC

    def handle_request(self, body: str | bytes) -> str:
        """The answer to a JSON-RPC request or batch; empty where none is due."""
        return finish(self.handle(messages(body), call_here))

    async def handle(self, found: Any, call: Call) -> str:
        """The text of the answer to a body (JSON-RPC 2.0, 6); empty where none is due."""
        if isinstance(found, ParseFailure):
            return dumps(failure(None, RPCError(PARSE_ERROR, "Parse error"))).decode()
        batch = isinstance(found, list) and bool(found)
        answers = [await self.answer(message, call) for message in (found if batch else [found])]
        due = [answer for answer in answers if answer is not None]
        if not due:
            return ""
        return dumps(due if batch else due[0]).decode()

    async def answer(self, message: Any, call: Call) -> dict[str, Any] | None:
        """The answer to one message; None for a notification or a response."""
        if not isinstance(message, dict):
            return failure(None, RPCError(INVALID_REQUEST, "Invalid Request"))
        method, number = message.get("method"), message.get("id")
        if method is None and ("result" in message or "error" in message):
            return None  # an answer to a request that we never make
        if not isinstance(method, str) or isinstance(number, (dict, list, bool)):
            return failure(None, RPCError(INVALID_REQUEST, "Invalid Request"))
        if "id" not in message:
            return None
        params = message.get("params")
        try:
            return {"jsonrpc": "2.0", "id": number, "result": await self.result(method, params, call)}
        except RPCError as exc:
            return failure(number, exc)
        except Exception as exc:
            return failure(number, RPCError(SERVER_ERROR, str(exc)))

    async def result(self, method: str, params: Any, call: Call) -> dict[str, Any]:
        known, calling = KNOWN.get(method), CALLING.get(method)
        if known is None and calling is None:
            raise RPCError(METHOD_NOT_FOUND, f"Method not found: {method}")
        if params is None:
            params = {}
        if not isinstance(params, dict):
            raise RPCError(INVALID_PARAMS, "Invalid params: must be an object")
        if calling is not None:
            return await calling(self, params, call)
        assert known is not None
        return known(self, params)

    # -- methods

    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        wanted = params.get("protocolVersion", PYRE_REVISION)
        result: dict[str, Any] = {
            "protocolVersion": wanted if wanted in REVISIONS else REVISIONS[0],
            "capabilities": CAPABILITIES,
            "serverInfo": {"name": self.name, "version": __version__},
        }
        if self.instructions:
            result["instructions"] = self.instructions
        return result

    def discover(self, params: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {
            "supportedVersions": list(mcp_modern.REVISIONS),
            "capabilities": CAPABILITIES,
            "_meta": {mcp_modern.META + "serverInfo": {"name": self.name, "version": __version__}},
        }
        if self.instructions:
            result["instructions"] = self.instructions
        return result

    def ping(self, params: dict[str, Any]) -> dict[str, Any]:
        return {}

    def tools_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"tools": [public(tool, "name", "description", "inputSchema") for tool in self._tools.values()]}

    async def tools_call(self, params: dict[str, Any], call: Call) -> dict[str, Any]:
        name = params.get("name", "")
        tool = self._tools.get(name) if isinstance(name, str) else None
        if tool is None:
            raise RPCError(SERVER_ERROR, f"Unknown tool: {name}")
        arguments = params.get("arguments") or {}
        if tool["checked"]:
            arguments = checked_arguments(tool, arguments)
        try:
            result = await call(tool["handler"], arguments)
        except Exception as exc:
            # The specification: a tool's own failure is a result, for the model to see.
            return {"content": [{"type": "text", "text": str(exc) or type(exc).__name__}], "isError": True}
        answer: dict[str, Any] = {"content": contents(result), "isError": False}
        if isinstance(result, dict) or is_model(type(result)):
            answer["structuredContent"] = json.loads(dumps(result, convert))
        return answer

    def resources_list(self, params: dict[str, Any]) -> dict[str, Any]:
        found = [item for item in self._resources.values() if item["template"] is None]
        return {"resources": [public(item, "uri", "name", "description", "mimeType") for item in found]}

    def resource_templates_list(self, params: dict[str, Any]) -> dict[str, Any]:
        found = [item for item in self._resources.values() if item["template"] is not None]
        templates = [{"uriTemplate": item["uri"], **public(item, "name", "description", "mimeType")} for item in found]
        return {"resourceTemplates": templates}

    async def resources_read(self, params: dict[str, Any], call: Call) -> dict[str, Any]:
        uri = str(params.get("uri", ""))
        item, arguments = self._resources.get(uri), {}
        if item is None or item["template"] is not None:
            item = None
            for candidate in self._resources.values():
                if candidate["template"] is not None and (match := candidate["template"].fullmatch(uri)):
                    item, arguments = candidate, match.groupdict()
                    break
        if item is None:
            raise RPCError(RESOURCE_NOT_FOUND, f"Unknown resource: {uri}", {"uri": uri})
        result = await call(item["handler"], arguments)
        content: dict[str, Any] = {"uri": uri, "mimeType": item["mimeType"]}
        if isinstance(result, (bytes, bytearray)):
            import base64

            content["blob"] = base64.b64encode(result).decode()
        else:
            content["text"] = result if isinstance(result, str) else dumps(result, convert).decode()
        return {"contents": [content]}

    def prompts_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"prompts": [public(item, "name", "description", "arguments") for item in self._prompts.values()]}

    async def prompts_get(self, params: dict[str, Any], call: Call) -> dict[str, Any]:
        name = params.get("name", "")
        item = self._prompts.get(name) if isinstance(name, str) else None
        if item is None:
            raise RPCError(INVALID_PARAMS, f"Unknown prompt: {name}")
        arguments = params.get("arguments") or {}
        missing = [a["name"] for a in item["arguments"] if a.get("required") and a["name"] not in arguments]
        if missing:
            raise RPCError(INVALID_PARAMS, f"Missing arguments: {', '.join(missing)}")
        result = await call(item["handler"], arguments)
        messages = result if isinstance(result, list) else [
            {"role": "user", "content": {"type": "text", "text": str(result)}}
        ]  # fmt: skip
        return {"description": item["description"], "messages": messages}

    # -- HTTP

    def routes(self, app: Pyre) -> list[Route]:
        """The endpoint of streamable HTTP, once something is registered."""
        functions = [item["handler"] for items in (self._tools, self._resources, self._prompts) for item in items.values()]
        return mcp_http.routes(self, app, on_loop=any(map(is_async, functions))) if functions else []


# Methods that call nothing of the app's, and those that do.
KNOWN: dict[str, Callable[[MCPServer, dict[str, Any]], dict[str, Any]]] = {
    "initialize": MCPServer.initialize,
    "server/discover": MCPServer.discover,
    "ping": MCPServer.ping,
    "tools/list": MCPServer.tools_list,
    "resources/list": MCPServer.resources_list,
    "resources/templates/list": MCPServer.resource_templates_list,
    "prompts/list": MCPServer.prompts_list,
}
CALLING: dict[str, Callable[[MCPServer, dict[str, Any], Call], Awaitable[dict[str, Any]]]] = {
    "tools/call": MCPServer.tools_call,
    "resources/read": MCPServer.resources_read,
    "prompts/get": MCPServer.prompts_get,
}


def public(item: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: item[name] for name in names}
