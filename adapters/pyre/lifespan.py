"""Startup and shutdown: the app's hooks, around the lifespans of the apps mounted in it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from freelane.adapters.pyre.app import Pyre

logger = logging.getLogger("freelane.pyre")


async def run_lifespan(app: Pyre, scope: Any, receive: Any, send: Any) -> None:
    """The lifespan protocol (asgi.readthedocs.io, Lifespan)."""
    await receive()
    app.loop = asyncio.get_running_loop()
    app.pipeline  # compile, so that a mistake is met now
    started: list[InnerLifespan] = []
    try:
        for mount in app.mounts:
            inner = InnerLifespan(mount.app)
            await inner.startup()
            mount.state = inner.state
            started.append(inner)
        for hook in app._startup_hooks:
            result = hook()
            if inspect.isawaitable(result):
                await result
    except Exception as exc:
        logger.error("Startup failed", exc_info=exc)
        for inner in reversed(started):
            await inner.shutdown()
        await send({"type": "lifespan.startup.failed", "message": f"{type(exc).__name__}: {exc}"})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    failures = await run_shutdown(app, started)
    if failures:
        await send({"type": "lifespan.shutdown.failed", "message": "; ".join(failures)})
    else:
        await send({"type": "lifespan.shutdown.complete"})


async def run_shutdown(app: Pyre, started: list[InnerLifespan]) -> list[str]:
    """Every hook runs, whatever the others do; returns what went wrong in the mounted apps."""
    for hook in app._shutdown_hooks:
        try:
            result = hook()
            if inspect.isawaitable(result):
                await result
        except Exception as exc:
            logger.error("Shutdown hook %s failed", getattr(hook, "__name__", hook), exc_info=exc)
    return [failure for inner in reversed(started) if (failure := await inner.shutdown())]


class InnerLifespan:
    """The server's side of a mounted app's lifespan; ``state`` is what it left for its requests."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self.events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Raises RuntimeError when the app says that it failed; an app without lifespan is as well."""
        self.task = asyncio.create_task(self.run())
        message = await self.step("lifespan.startup")
        if message is None:
            self.task = None
        elif message["type"] == "lifespan.startup.failed":
            raise RuntimeError(message.get("message") or "the mounted app's startup failed")

    async def shutdown(self) -> str | None:
        """Returns what the app said when its shutdown failed."""
        if self.task is None:
            return None
        message = await self.step("lifespan.shutdown")
        if message is not None and message["type"] == "lifespan.shutdown.failed":
            return message.get("message") or "the mounted app's shutdown failed"
        return None

    async def step(self, event: str) -> dict[str, Any] | None:
        assert self.task is not None
        await self.events.put({"type": event})
        answer = asyncio.ensure_future(self.answers.get())
        await asyncio.wait({answer, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

    async def run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self.app(scope, self.events.get, self.answers.put)
        except Exception as exc:
            logger.debug("a mounted app has no lifespan", exc_info=exc)
