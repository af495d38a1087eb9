"""The sides that can answer: the app that is served, another app in this process, a URL, a process of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from freelane.adapters import registry
from freelane.bench.answer import Answer
from freelane.errors import StartupError
from freelane.migration import answers
from freelane.migration.budget import Budget
from freelane.migration.loop_thread import LoopThread
from freelane.server.lifespan import Lifespan

logger = logging.getLogger("freelane.error")

# Of a scope: what the server's own layers, or the other app's, have left there.
OURS = ("freelane.", "app", "router", "route", "endpoint", "path_params", "starlette.")


class Unreachable(Exception):
    """Nothing of the request has reached the side: another may answer it."""


class Side(Protocol):
    """``start`` before anything is asked, ``stop`` after; ``call`` on a worker's loop, ``ask`` on ``copier``'s."""

    name: str
    budget: Budget
    copier: LoopThread

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def call(self, scope: Any, receive: Any, send: Any) -> None: ...

    async def ask(self, scope: Any, body: bytes) -> Answer: ...

    async def revive(self) -> None: ...


def own(scope: Any) -> dict[str, Any]:
    """A copy of a scope for another app."""
    return {name: value for name, value in scope.items() if not name.startswith(OURS)}


class MainSide:
    """The app that is served, in its own place; what it is asked is asked by the front."""

    def __init__(self, name: str, budget: Budget) -> None:
        self.name = name
        self.budget = budget


class AppSide:
    """Another app of this process, on a thread and a loop of its own: what blocks there blocks no answer of the other's."""

    def __init__(self, name: str, app: Any, budget: Budget, lifespan: str, patience: float) -> None:
        self.name = name
        self.app = app
        self.budget = budget
        self.wanted = lifespan
        self.patience = patience
        self.copier = LoopThread(f"freelane-side-{name}")
        self.lifespan = Lifespan(app)
        self.served: Any = app
        # Copies whose answer is there and whose background work is not done; of the side's thread.
        self.running: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Raises StartupError."""
        self.copier.start()
        try:
            await self.copier.run(self.begin())
        except BaseException:
            await self.copier.close()
            raise

    async def begin(self) -> None:
        if self.wanted != "off":
            try:
                await self.lifespan.startup()
            except StartupError as exc:
                raise StartupError(f"{self.name}: {exc}") from None
        self.served = registry.adapt(self.app).app

    async def stop(self) -> None:
        try:
            async with asyncio.timeout(self.patience):
                await self.copier.run(self.end())
        except TimeoutError:
            logger.error("%s did not shut down within %g s.", self.name, self.patience)
        if not await self.copier.close():
            logger.error("%s still keeps its thread, which is not waited for.", self.name)

    async def end(self) -> None:
        if self.running:
            await asyncio.wait(self.running)
        await self.lifespan.shutdown()

    async def revive(self) -> None:
        """It cannot die by itself."""

    async def call(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request or WebSocket of the running loop from the side's."""
        home = asyncio.get_running_loop()

        def across(function: Callable[..., Any]) -> Callable[..., Any]:
            async def run(*arguments: Any) -> Any:
                return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(function(*arguments), home))

            return run

        await self.copier.run(self.served(self.with_state(own(scope)), across(receive), across(send)))

    async def ask(self, scope: Any, body: bytes) -> Answer:
        """Raises TooLong."""
        return await answers.ask(self.served, self.with_state(scope), body, self.running)

    def with_state(self, scope: dict[str, Any]) -> dict[str, Any]:
        scope["state"] = self.lifespan.state.copy()
        return scope
