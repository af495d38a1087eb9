"""Every private name of anyio that the adapters use: what makes a thread one that ``anyio.from_thread`` works on.

Where one has moved, or a function is not one of those in ``known``, `def` endpoints run on anyio's own threads.
Tested by compat_tests/test_framework_contract.py.
"""

from __future__ import annotations

from typing import Any

from freelane.adapters.compat import versions

PRIVATE = (
    "anyio._backends._asyncio:AsyncIOBackend",
    "anyio._backends._asyncio:WorkerThread",
    "anyio._core._eventloop:get_async_backend",
    "anyio._core._eventloop:threadlocals",
)

# Before 4.11, anyio's token did not know its backend, and threads kept that beside it.
BACKEND_APART = versions.find_optional("anyio.lowlevel:EventLoopToken") is None

threadlocals: Any = versions.find_optional("anyio._core._eventloop:threadlocals")
get_async_backend: Any = versions.find_optional("anyio._core._eventloop:get_async_backend")


def obstacle() -> str:
    """Why this anyio's threads cannot be stood in for, in words; empty where they can."""
    return versions.obstacle("anyio", PRIVATE, "`def` endpoints run on its own threads, at its own speed")


def enter_thread(token: object, scope: object) -> None:
    """Let this thread call into the loop of ``token``; ``scope`` is the cancel scope that older releases want there."""
    threadlocals.current_token = token
    if BACKEND_APART:
        threadlocals.current_async_backend = get_async_backend("asyncio")
    threadlocals.current_cancel_scope = scope
