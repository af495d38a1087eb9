"""Model Context Protocol: tools, resources and prompts over JSON-RPC 2.0 and streamable HTTP.

modelcontextprotocol.io/specification. Answers are single JSON documents, without sessions,
so any number of threads serve them.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from freelane.adapters.pyre import mcp_modern
from freelane.adapters.pyre.injection import is_model
from freelane.adapters.pyre.mcp_values import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RESOURCE_NOT_FOUND,
    SERVER_ERROR,
    RPCError,
    checked_arguments,
    contents,
)
from freelane.adapters.pyre.requests import PyreRequest, load_json
from freelane.adapters.pyre.responses import PyreResponse, convert
from freelane.adapters.pyre.routes import Route, is_async
from freelane.adapters.pyre.schemas import arguments_schema as _extract_schema
from freelane.fastcore.jsonwriter import dumps

if TYPE_CHECKING:
    from freelane.adapters.pyre.app import Pyre

F = TypeVar("F", bound=Callable[..., Any])

CAPABILITIES = {
    "tools": {"listChanged": False},
    "resources": {"subscribe": False, "listChanged": False},
    "prompts": {"listChanged": False},
}
# Those with a handshake, newest first; what came after is in `mcp_modern`. A client that names none is one of Pyre's, which knows the oldest.
REVISIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
PYRE_REVISION = "2024-11-05"

# A method's handler asks for one call of a function of the app's and is sent its result.
Steps = Generator[tuple[Callable[..., Any], dict[str, Any]], Any, dict[str, Any]]


class ParseFailure:
    """Stands for a body that is no JSON."""


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

    def tool(
        self,
        fn: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        input_schema: dict[str, Any] | None = None,
    ) -> Any:
        """Register a function that models may call; its hints are its schema."""

        def register(function: F) -> F:
            title = name or function.__name__
            self._tools[title] = {
                "name": title,
                "description": description or inspect.getdoc(function) or "",
                "inputSchema": input_schema or _extract_schema(function),
                "handler": function,
                "checked": input_schema is None,
            }
            self.changed()
            return function

        return register if fn is None else register(fn)

    def resource(
        self, uri: str, *, name: str | None = None, description: str | None = None, mime_type: str = "application/json"
    ) -> Any:
        """Register what may be read at ``uri``; ``{name}`` in it makes a template with parameters."""

        def register(function: F) -> F:
            parts = re.split(r"\{(\w+)\}", uri)
            pattern = "".join(re.escape(p) if i % 2 == 0 else f"(?P<{p}>[^/]+)" for i, p in enumerate(parts))
            self._resources[uri] = {
                "uri": uri,
                "name": name or function.__name__,
                "description": description or inspect.getdoc(function) or "",
                "mimeType": mime_type,
                "handler": function,
                "template": re.compile(pattern) if len(parts) > 1 else None,
            }
            self.changed()
            return function

        return register

    def prompt(
        self, name: str, *, description: str | None = None, arguments: list[dict[str, Any]] | None = None
    ) -> Any:
        """Register a prompt; the function returns its text, or a list of messages."""

        def register(function: F) -> F:
            self._prompts[name] = {
                "name": name,
                "description": description or inspect.getdoc(function) or "",
                "arguments": arguments
                or [
                    {"name": key, "required": item.default is inspect.Parameter.empty}
                    for key, item in inspect.signature(function).parameters.items()
                ],
                "handler": function,
            }
            self.changed()
            return function

        return register

    # -- JSON-RPC

    def handle_request(self, body: str | bytes) -> str:
        """The answer to a JSON-RPC request or batch; empty where none is due."""
        found = self.messages(body)
        return joined(found, [self.answer(message) for message in parts(found)])

    def messages(self, body: str | bytes) -> Any:
        """The parsed body, or a ParseFailure."""
        try:
            return load_json(body.encode() if isinstance(body, str) else body)
        except ValueError:
            return ParseFailure()

    def answer(self, message: Any) -> dict[str, Any] | None:
        """The answer to one message; None for a notification or a response."""
        steps = self.begin(message)
        if not isinstance(steps, Generator):
            return steps
        try:
            function, arguments = next(steps)
            while True:
                try:
                    value = function(**arguments)
                    if inspect.isawaitable(value):
                        value = asyncio.run(awaited(value))
                except Exception as exc:
                    function, arguments = steps.throw(exc)
                else:
                    function, arguments = steps.send(value)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def answer_async(self, message: Any, on_thread: Callable[..., Any]) -> dict[str, Any] | None:
        """The same on a loop; ``def`` functions run by ``on_thread``."""
        steps = self.begin(message)
        if not isinstance(steps, Generator):
            return steps
        try:
            function, arguments = next(steps)
            while True:
                try:
                    if is_async(function):
                        value = await function(**arguments)
                    else:
                        value = await on_thread(lambda: function(**arguments))
                except Exception as exc:
                    function, arguments = steps.throw(exc)
                else:
                    function, arguments = steps.send(value)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def begin(self, message: Any) -> Any:
        """The steps to a message's answer, or what there is to say at once."""
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
        return self.steps(method, number, {} if params is None else params)

    def steps(self, method: str, number: Any, params: Any) -> Generator[Any, Any, dict[str, Any]]:
        try:
            handler = HANDLERS.get(method)
            if handler is None:
                raise RPCError(METHOD_NOT_FOUND, f"Method not found: {method}")
            if not isinstance(params, dict):
                raise RPCError(INVALID_PARAMS, "Invalid params: must be an object")
            result = handler(self, params)
            if isinstance(result, Generator):
                result = yield from result
            return {"jsonrpc": "2.0", "id": number, "result": result}
        except RPCError as exc:
            return failure(number, exc)
        except Exception as exc:
            return failure(number, RPCError(SERVER_ERROR, str(exc)))

    # -- methods

    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        from freelane import __version__

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
        from freelane import __version__

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

    def tools_call(self, params: dict[str, Any]) -> Steps:
        name = params.get("name", "")
        tool = self._tools.get(name) if isinstance(name, str) else None
        if tool is None:
            raise RPCError(SERVER_ERROR, f"Unknown tool: {name}")
        arguments = params.get("arguments") or {}
        if tool["checked"]:
            arguments = checked_arguments(tool, arguments)
        try:
            result = yield tool["handler"], arguments
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

    def resources_read(self, params: dict[str, Any]) -> Steps:
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
        result = yield item["handler"], arguments
        content: dict[str, Any] = {"uri": uri, "mimeType": item["mimeType"]}
        if isinstance(result, (bytes, bytearray)):
            import base64

            content["blob"] = base64.b64encode(result).decode()
        else:
            content["text"] = result if isinstance(result, str) else dumps(result, convert).decode()
        return {"contents": [content]}

    def prompts_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"prompts": [public(item, "name", "description", "arguments") for item in self._prompts.values()]}

    def prompts_get(self, params: dict[str, Any]) -> Steps:
        name = params.get("name", "")
        item = self._prompts.get(name) if isinstance(name, str) else None
        if item is None:
            raise RPCError(INVALID_PARAMS, f"Unknown prompt: {name}")
        arguments = params.get("arguments") or {}
        missing = [a["name"] for a in item["arguments"] if a.get("required") and a["name"] not in arguments]
        if missing:
            raise RPCError(INVALID_PARAMS, f"Missing arguments: {', '.join(missing)}")
        result = yield item["handler"], arguments
        messages = result if isinstance(result, list) else [
            {"role": "user", "content": {"type": "text", "text": str(result)}}
        ]  # fmt: skip
        return {"description": item["description"], "messages": messages}

    # -- HTTP

    def modern_refusal(self, request: PyreRequest, found: Any) -> PyreResponse | None:
        """The answer to a request of the newest revision that cannot be served; see ``mcp_modern``."""
        try:
            if isinstance(found, ParseFailure):
                raise RPCError(PARSE_ERROR, "Parse error")
            mcp_modern.check(request, found)
        except RPCError as exc:
            number = found.get("id") if isinstance(found, dict) else None
            return mcp_modern.respond(found, failure(number, exc))
        return None

    def routes(self, app: Pyre) -> list[Route]:
        """The endpoint of streamable HTTP, once something is registered."""
        items = [*self._tools.values(), *self._resources.values(), *self._prompts.values()]
        if not items:
            return []
        if any(is_async(item["handler"]) for item in items):

            async def endpoint(request: PyreRequest) -> Any:
                from freelane.adapters.pyre.threads import on_thread

                if (refused := refusal(app, request)) is not None:
                    return refused
                found = self.messages(request.body)
                if is_modern(request):
                    if (refused := self.modern_refusal(request, found)) is not None:
                        return refused
                    return mcp_modern.respond(found, await self.answer_async(found, on_thread))
                answers = [await self.answer_async(message, on_thread) for message in parts(found)]
                return respond(joined(found, answers))

        else:

            def endpoint(request: PyreRequest) -> Any:  # type: ignore[misc]
                if (refused := refusal(app, request)) is not None:
                    return refused
                if is_modern(request):
                    found = self.messages(request.body)
                    if (refused := self.modern_refusal(request, found)) is not None:
                        return refused
                    return mcp_modern.respond(found, self.answer(found))
                return respond(self.handle_request(request.body))

        def no_stream(request: PyreRequest) -> Any:
            # "405 … the server does not offer an SSE stream at this endpoint."
            return PyreResponse({"error": "method not allowed"}, 405, headers={"allow": "POST"})

        return [Route("POST", "/mcp", endpoint), Route("GET", "/mcp", no_stream), Route("DELETE", "/mcp", no_stream)]


HANDLERS: dict[str, Callable[[MCPServer, dict[str, Any]], Any]] = {
    "initialize": MCPServer.initialize,
    "server/discover": MCPServer.discover,
    "ping": MCPServer.ping,
    "tools/list": MCPServer.tools_list,
    "tools/call": MCPServer.tools_call,
    "resources/list": MCPServer.resources_list,
    "resources/templates/list": MCPServer.resource_templates_list,
    "resources/read": MCPServer.resources_read,
    "prompts/list": MCPServer.prompts_list,
    "prompts/get": MCPServer.prompts_get,
}


async def awaited(value: Any) -> Any:
    return await value


def public(item: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: item[name] for name in names}


def parts(found: Any) -> list[Any]:
    """The messages of a body (JSON-RPC 2.0, 6); none in one that was no JSON."""
    if isinstance(found, ParseFailure):
        return []
    return found if isinstance(found, list) and found else [found]


def joined(found: Any, answers: list[dict[str, Any] | None]) -> str:
    """The text of the answer to a body; empty where none is due."""
    if isinstance(found, ParseFailure):
        return dumps(failure(None, RPCError(PARSE_ERROR, "Parse error"))).decode()
    due = [answer for answer in answers if answer is not None]
    if not due:
        return ""
    return dumps(due if isinstance(found, list) and found else due[0]).decode()


def failure(number: Any, exc: RPCError) -> dict[str, Any]:
    error: dict[str, Any] = {"code": exc.code, "message": exc.message}
    if exc.data is not None:
        error["data"] = exc.data
    return {"jsonrpc": "2.0", "id": number, "error": error}


def respond(text: str) -> PyreResponse:
    if not text:
        return PyreResponse(b"", 202)
    return PyreResponse(text, content_type="application/json")


def is_modern(request: PyreRequest) -> bool:
    """Whether a request is of a revision without handshake, or of none that we know."""
    return request.headers.get("mcp-protocol-version", PYRE_REVISION) not in REVISIONS


def refusal(app: Pyre, request: PyreRequest) -> PyreResponse | None:
    """The answer to a request that streamable HTTP asks servers to refuse."""
    origin = request.headers.get("origin")
    if origin is not None:
        # Against DNS rebinding: a page may only call the host that it came from.
        same = origin.partition("://")[2] == request.headers.get("host")
        if not same and (app.cors is None or not app.cors.allows(origin)):
            return PyreResponse({"error": "origin not allowed"}, 403)
    return None
