"""MCP: JSON-RPC by hand, and the official client over streamable HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from compat_tests.pyre.mcp_client import mcp_session
from freelane.adapters.pyre import Pyre, mcp_modern
from freelane.adapters.pyre.mcp import MCPServer
from freelane.adapters.pyre.mcp_values import REVISIONS
from freelane.adapters.pyre.testing import TestClient

pytestmark = pytest.mark.thread_unsafe(reason="one server for all of them")


def build(with_async: bool) -> Pyre:
    app = Pyre()

    @app.mcp.tool(description="Add two numbers")
    def add(a: int, b: int = 1) -> int:
        return a + b

    @app.mcp.tool
    def search(query: str, tags: list[str], mode: Literal["fast", "deep"] = "fast") -> dict[str, Any]:
        """Search the documents."""
        return {"query": query, "tags": tags, "mode": mode}

    @app.mcp.tool
    def fail() -> None:
        raise RuntimeError("tool broke")

    if with_async:

        @app.mcp.tool
        async def later(text: str) -> str:
            await asyncio.sleep(0.01)
            return text.upper()

    @app.mcp.resource("config://app", description="Configuration")
    def config() -> dict[str, str]:
        return {"version": "1"}

    @app.mcp.resource("user://{name}", mime_type="text/plain")
    def user(name: str) -> str:
        return f"user {name}"

    @app.mcp.prompt("greeting", description="Greet")
    def greeting(name: str) -> str:
        return f"Hello {name}"

    return app


@pytest.fixture(scope="module", params=[False, True], ids=["def", "async"])
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    with TestClient(build(request.param)) as client:
        yield client


def call(client: TestClient, method: str, params: Any = None, **headers: str) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    return client.post("/mcp", body=body, headers=headers).json()


def plain(model: Any) -> Any:
    """A result as JSON has it: the client's attributes have other names from one version to the next."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def use(session: Any, revisions: tuple[str, ...], started: Any) -> None:
    """Everything that a client may ask for."""
    assert started.get("protocolVersion", revisions[0]) in revisions
    tools = {tool["name"]: tool for tool in plain(await session.list_tools())["tools"]}
    assert tools["add"]["inputSchema"]["required"] == ["a"]
    assert tools["search"]["inputSchema"]["properties"]["mode"]["enum"] == ["fast", "deep"]
    assert plain(await session.call_tool("add", {"a": 2, "b": 3}))["content"][0]["text"] == "5"
    found = plain(await session.call_tool("search", {"query": "x", "tags": ["a"]}))
    assert found["structuredContent"] == {"query": "x", "tags": ["a"], "mode": "fast"}
    failed = plain(await session.call_tool("fail", {}))
    assert failed["isError"] and failed["content"][0]["text"] == "tool broke"
    if "later" in tools:
        assert plain(await session.call_tool("later", {"text": "a"}))["content"][0]["text"] == "A"
    assert [item["uri"] for item in plain(await session.list_resources())["resources"]] == ["config://app"]
    templates = plain(await session.list_resource_templates())["resourceTemplates"]
    assert [item["uriTemplate"] for item in templates] == ["user://{name}"]
    assert plain(await session.read_resource("user://bob"))["contents"][0]["text"] == "user bob"
    assert [item["name"] for item in plain(await session.list_prompts())["prompts"]] == ["greeting"]
    prompt = plain(await session.get_prompt("greeting", {"name": "Bob"}))
    assert prompt["messages"][0]["content"]["text"] == "Hello Bob"


def test_official_client(client: TestClient) -> None:
    async def run() -> None:
        async with mcp_session(client.base_url) as session:
            await use(session, REVISIONS, plain(await session.initialize()))
            await session.send_ping()

    asyncio.run(asyncio.wait_for(run(), 120))


def test_official_client_without_a_handshake(client: TestClient) -> None:
    mcp = pytest.importorskip("mcp", reason="has no wheels for this interpreter")
    if not hasattr(mcp.ClientSession, "discover"):
        pytest.skip("the mcp package that has wheels here is older than the revision of 2026-07-28")

    async def run() -> None:
        async with mcp_session(client.base_url) as session:
            found = plain(await session.discover())
            assert found["supportedVersions"] == list(mcp_modern.REVISIONS)
            assert session.server_info.name == "pyre-mcp"
            await use(session, mcp_modern.REVISIONS, {})

    asyncio.run(asyncio.wait_for(run(), 120))


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
MODERN = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "add"}
CALL = {"_meta": META, "name": "add", "arguments": {"a": 1}}


def modern(client: TestClient, params: Any, headers: dict[str, str], method: str = "tools/call") -> tuple[int, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    response = client.post("/mcp", body=body, headers=headers)
    return response.status_code, response.json()


def test_request_without_a_handshake(client: TestClient) -> None:
    status, answer = modern(client, CALL, MODERN)
    assert (status, answer["result"]["resultType"], answer["result"]["content"][0]["text"]) == (200, "complete", "2")
    status, answer = modern(client, {"_meta": META}, {**MODERN, "mcp-method": "tools/list"}, "tools/list")
    assert (status, answer["result"]["ttlMs"], answer["result"]["cacheScope"]) == (200, 0, "private")


@pytest.mark.parametrize(
    ("params", "headers", "method", "status", "code"),
    [
        ({**CALL, "_meta": {}}, MODERN, "tools/call", 400, -32602),
        (CALL, {**MODERN, "mcp-method": "tools/list"}, "tools/call", 400, -32020),
        (CALL, {**MODERN, "mcp-name": "other"}, "tools/call", 400, -32020),
        (CALL, {**MODERN, "mcp-protocol-version": "2027-01-01"}, "tools/call", 400, -32020),
        ({"_meta": META}, {**MODERN, "mcp-method": "nope"}, "nope", 404, -32601),
    ],
)
def test_request_that_contradicts_itself(
    client: TestClient, params: Any, headers: dict[str, str], method: str, status: int, code: int
) -> None:
    found, answer = modern(client, params, headers, method)
    assert (found, answer["error"]["code"]) == (status, code)


def test_unsupported_revision_names_the_supported(client: TestClient) -> None:
    meta = {**META, "io.modelcontextprotocol/protocolVersion": "2027-01-01"}
    status, answer = modern(client, {**CALL, "_meta": meta}, {**MODERN, "mcp-protocol-version": "2027-01-01"})
    assert (status, answer["error"]["code"]) == (400, -32022)
    assert answer["error"]["data"] == {"supported": ["2026-07-28"], "requested": "2027-01-01"}


@pytest.mark.parametrize(
    ("wanted", "given"), [("2024-11-05", "2024-11-05"), ("2025-06-18", "2025-06-18"), ("1999-01-01", REVISIONS[0])]
)
def test_revision_is_agreed_on(client: TestClient, wanted: str, given: str) -> None:
    assert call(client, "initialize", {"protocolVersion": wanted})["result"]["protocolVersion"] == given


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", -32700),
        ("5", -32600),
        ("[]", -32600),
        ('{"jsonrpc": "2.0", "id": 1, "method": 5}', -32600),
        ('{"jsonrpc": "2.0", "id": 1, "method": "nope"}', -32601),
        ('{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": [1]}', -32602),
        ('{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nope"}}', -32000),
        ('{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add"}}', -32602),
        ('{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add", "arguments": {"a": "x"}}}', -32602),
        (
            '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add", "arguments": {"a": 1, "c": 1}}}',
            -32602,
        ),
        ('{"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "config://none"}}', -32002),
        ('{"jsonrpc": "2.0", "id": 1, "method": "prompts/get", "params": {"name": "greeting"}}', -32602),
    ],
)
def test_error_codes(client: TestClient, body: str, code: int) -> None:
    response = client.post("/mcp", body=body)
    assert (response.status_code, response.json()["error"]["code"]) == (200, code)


def test_batch(client: TestClient) -> None:
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": "two", "method": "tools/call", "params": {"name": "add", "arguments": {"a": 1}}},
        5,
    ]
    answers = client.post("/mcp", body=json.dumps(batch)).json()
    assert [answer["id"] for answer in answers] == [1, "two", None]
    assert answers[1]["result"]["content"][0]["text"] == "2"


def test_notification_is_accepted_without_an_answer(client: TestClient) -> None:
    response = client.post("/mcp", body={"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (response.status_code, response.body) == (202, b"")


def test_no_stream_is_offered(client: TestClient) -> None:
    response = client.get("/mcp")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_page_of_another_site_is_refused(client: TestClient) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert client.post("/mcp", body=body, headers={"origin": "https://evil.example"}).status_code == 403
    assert client.post("/mcp", body=body, headers={"origin": client.base_url}).status_code == 200


def test_unknown_revision_header_is_400(client: TestClient) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert client.post("/mcp", body=body, headers={"mcp-protocol-version": "1999-01-01"}).status_code == 400


def test_no_endpoint_without_anything_to_serve() -> None:
    with TestClient(Pyre()) as client:
        assert client.post("/mcp", body="{}").status_code == 404


def test_handle_request_by_hand() -> None:
    server = MCPServer()
    server.tool(lambda n: n, name="same")
    answer = json.loads(
        server.handle_request(
            '{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "same", "arguments": {"n": [1]}}}'
        )
    )
    assert answer["result"]["content"] == [{"type": "text", "text": "[1]"}]
