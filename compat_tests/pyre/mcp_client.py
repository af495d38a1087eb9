"""The official MCP client, in the versions that there are for each interpreter."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest


@contextlib.asynccontextmanager
async def mcp_session(url: str) -> AsyncIterator[Any]:
    """A ``ClientSession`` over streamable HTTP, not initialized; skips the test without the package."""
    mcp = pytest.importorskip("mcp", reason="has no wheels for this interpreter")
    from mcp.client import streamable_http

    names = vars(streamable_http)
    connect = names.get("streamable_http_client") or names["streamablehttp_client"]
    async with connect(f"{url}/mcp") as streams, mcp.ClientSession(*streams[:2]) as session:
        yield session
