"""Every private name of anyio that the adapters use: what makes a thread one that ``anyio.from_thread`` works on.

Tested by compat_tests/test_framework_contract.py.
"""

from __future__ import annotations

import anyio.lowlevel
from anyio._core import _eventloop

PRIVATE = ("anyio._core._eventloop:get_async_backend", "anyio._core._eventloop:threadlocals")

# Before 4.11, anyio's token did not know its backend, and threads kept that beside it.
BACKEND_APART = not hasattr(anyio.lowlevel, "EventLoopToken")


def enter_thread(token: object, scope: object) -> None:
    """Let this thread call into the loop of ``token``; ``scope`` is the cancel scope that older releases want there."""
    local = _eventloop.threadlocals
    local.current_token = token
    if BACKEND_APART:
        local.current_async_backend = _eventloop.get_async_backend("asyncio")
    local.current_cancel_scope = scope
