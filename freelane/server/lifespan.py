"""The lifespan protocol (asgi.readthedocs.io, Lifespan) for one event loop."""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import Any

from freelane.errors import StartupError

logger = logging.getLogger("freelane.error")


class Lifespan:
    """Runs ``startup`` and ``shutdown`` of an app; ``state`` is what it left for requests.

    An app that fails before it answers, without saying that startup failed, is one that
    has no lifespan and is served all the same.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self.supported = True
        self.failure: str | None = None
        self.error: BaseException | None = None
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()
        self.events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    async def startup(self, required: bool = False) -> None:
        """Raises StartupError with the app's own words when startup fails, or ``required`` and there is none."""
        self.task = asyncio.get_running_loop().create_task(self.run())
        await self.events.put({"type": "lifespan.startup"})
        await self.started.wait()
        if self.failure is not None:
            raise StartupError(self.failure)
        if required and not self.supported:
            raise StartupError("".join(traceback.format_exception(self.error)))

    def cancel(self) -> None:
        """Give up on an app that is still starting, on its loop's thread."""
        if self.task is not None:
            self.task.cancel()

    async def shutdown(self) -> bool:
        """Returns False when the app said that its shutdown failed."""
        if not self.supported or self.task is None or self.task.done():
            return True
        await self.events.put({"type": "lifespan.shutdown"})
        await self.stopped.wait()
        if self.failure is not None:
            logger.error(self.failure)
        return self.failure is None

    async def run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self.app(scope, self.events.get, self.send)
        except BaseException as exc:
            self.error = exc
            self.supported = False
            if self.failure is None and not self.started.is_set():
                logger.info("ASGI 'lifespan' protocol appears unsupported.")
                logger.debug("it raised", exc_info=exc)
            elif self.failure is None:
                self.failure = f"lifespan failed: {type(exc).__name__}: {exc}"
        finally:
            self.started.set()
            self.stopped.set()

    async def send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        phase, _, outcome = kind.removeprefix("lifespan.").partition(".")
        if phase not in ("startup", "shutdown") or outcome not in ("complete", "failed"):
            raise RuntimeError(f"Unexpected lifespan message '{kind}'.")
        event = self.started if phase == "startup" else self.stopped
        if event.is_set() or (phase == "shutdown" and not self.started.is_set()):
            raise RuntimeError(f"Lifespan message '{kind}' came out of order.")
        if outcome == "failed":
            self.failure = message.get("message") or f"the app's {phase} failed"
        event.set()
