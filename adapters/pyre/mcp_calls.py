"""How MCP runs a function of the app's: on the thread that it is on, or from the loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from freelane.adapters.pyre.routes import is_async
from freelane.adapters.pyre.threads import on_thread

# ``await call(function, arguments)`` is ``function(**arguments)``, awaited where that is to be.
Call = Callable[[Callable[..., Any], dict[str, Any]], Awaitable[Any]]


async def call_here(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """For a thread without a loop; never waits."""
    value = function(**arguments)
    return asyncio.run(awaited(value)) if inspect.isawaitable(value) else value


async def call_on_loop(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """For a loop; ``def`` functions run on threads."""
    if is_async(function):
        return await function(**arguments)
    return await on_thread(lambda: function(**arguments))


async def awaited(value: Awaitable[Any]) -> Any:
    return await value
