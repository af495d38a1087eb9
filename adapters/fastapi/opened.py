"""Dependencies with ``yield``: opened and closed as FastAPI's exit stacks do, without the stacks.

A generator is what ``contextlib`` makes a context manager of; an exit stack of those is nested
``with`` statements, so what one raises or swallows is what the next one outside it sees. `def`
generators run on threads, each step in a copy of the request's context; ``async def`` ones in
the request's task.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import copy_context
from typing import Any

from anyio import from_thread
from anyio.lowlevel import checkpoint_if_cancelled
from fastapi.exceptions import FastAPIError

from freelane.adapters.compat import fastapi_gate
from freelane.adapters.starlette.threads import as_awaited, beyond_limit


class Opened(list[Any]):
    """The generators that one request's dependencies opened and that are to be closed, the last first.

    Among them what the app's own code left in FastAPI's exit stacks (``Pushed``).
    Belongs to one thread at a time. ``close`` and ``aclose`` take the exception that ends the
    request, or None, and return the one that is left; each generator is closed once.
    """

    def close(self, error: BaseException | None) -> BaseException | None:
        """Close all on this thread, one of the loop's: generators are of `def` dependencies."""
        while self:
            generator = self.pop()
            try:
                if type(generator) is Pushed:
                    if from_thread.run(generator.leave, error):
                        error = None
                elif error is None:
                    copy_context().run(end, generator)
                elif copy_context().run(throw, generator, error):
                    error = None
            except BaseException as exc:
                error = exc
        return error

    async def aclose(self, error: BaseException | None) -> BaseException | None:
        """Close all on the loop: runs of `def` generators by one call on a thread, which no limit holds up."""
        while self:
            try:
                if hasattr(self[-1], "__next__"):
                    error = await beyond_limit(self.split().close, error)
                    continue
                generator = self.pop()
                if type(generator) is Pushed:
                    if await generator.leave(error):
                        error = None
                elif error is None:
                    await aend(generator)
                elif await athrow(generator, error):
                    error = None
                if self:
                    # One that is still open may have cancelled what is inside it.
                    await checkpoint_if_cancelled()
            except BaseException as exc:
                error = exc
        return error

    def split(self) -> Opened:
        """Take the `def` generators off the end, as a list of its own."""
        at = len(self)
        while at and hasattr(self[at - 1], "__next__"):
            at -= 1
        last = Opened(self[at:])
        del self[at:]
        return last

    def fail(self, error: BaseException) -> BaseException:
        """Close all because of ``error``; returns what FastAPI raises instead of a response."""
        return self.close(as_awaited(error)) or FastAPIError(fastapi_gate.not_awaited())

    async def afail(self, error: BaseException) -> BaseException:
        """As ``fail``, on the loop."""
        return await self.aclose(error) or FastAPIError(fastapi_gate.not_awaited())


class OpenedInside(Opened):
    """Those of ``scope="function"``, which are closed between the endpoint and the response."""

    def fail(self, error: BaseException) -> BaseException:
        return self.close(as_awaited(error)) or no_response()

    async def afail(self, error: BaseException) -> BaseException:
        return await self.aclose(error) or no_response()


class Pushed:
    """One callback of an exit stack."""

    __slots__ = ("callback", "is_sync", "stack")

    def __init__(self, stack: LeftStack, is_sync: bool, callback: Callable[..., Any]) -> None:
        self.stack, self.is_sync, self.callback = stack, is_sync, callback

    async def leave(self, error: BaseException | None) -> bool:
        """Returns whether ``error`` was swallowed; raises what is raised instead."""
        details = (None, None, None) if error is None else (type(error), error, error.__traceback__)
        found = self.callback(*details)
        return bool(found if self.is_sync else await found)


class LeftStack(contextlib.AsyncExitStack):
    """Stands in a scope for one of FastAPI's exit stacks: what is pushed onto it is closed with ``opened``, in its place."""

    def __init__(self, opened: Opened, first: bool = False) -> None:
        self.opened = opened
        # Whether what is pushed lies below all else, and how much does.
        self.first, self.below = first, 0

    def _push_exit_callback(self, callback: Callable[..., Any], is_sync: bool = True) -> None:
        pushed = Pushed(self, is_sync, callback)
        if self.first:
            self.opened.insert(self.below, pushed)
            self.below += 1
        else:
            self.opened.append(pushed)

    def pop_all(self) -> Any:
        stack: Any = contextlib.AsyncExitStack()
        own = [item for item in self.opened if type(item) is Pushed and item.stack is self]
        stack._exit_callbacks.extend((item.is_sync, item.callback) for item in own)
        self.opened[:] = [item for item in self.opened if item not in own]
        self.below = 0
        return stack

    async def __aexit__(self, *details: Any) -> bool:
        return bool(await self.pop_all().__aexit__(*details))


def leave_stacks(scope: Any, opened: Opened, inside: Opened) -> None:
    """Leave in ``scope`` what FastAPI does, for an app that calls its ``solve_dependencies`` or pushes something itself."""
    scope["fastapi_middleware_astack"] = LeftStack(opened, first=True)
    scope["fastapi_inner_astack"] = LeftStack(opened)
    scope["fastapi_function_astack"] = LeftStack(inside)


def no_response() -> UnboundLocalError:
    """What comes of FastAPI's code once a dependency has swallowed the exception: it has no response to send."""
    return UnboundLocalError("cannot access local variable 'response' where it is not associated with a value")


def first(generator: Generator[Any]) -> Any:
    """What a generator yields. Raises RuntimeError for one that yields nothing."""
    try:
        return next(generator)
    except StopIteration:
        raise RuntimeError("generator didn't yield") from None


def end(generator: Generator[Any]) -> None:
    """Let a generator run to its end. Raises RuntimeError for one that yields again."""
    try:
        next(generator)
    except StopIteration:
        return
    try:
        raise RuntimeError("generator didn't stop")
    finally:
        generator.close()


def throw(generator: Generator[Any], error: BaseException) -> bool | None:
    """Throw ``error`` in at the yield. Returns whether it was swallowed; raises what is raised instead."""
    return contextlib._GeneratorContextManager(lambda: generator, (), {}).__exit__(type(error), error, error.__traceback__)


async def afirst(generator: AsyncGenerator[Any]) -> Any:
    """As ``first``."""
    try:
        return await anext(generator)
    except StopAsyncIteration:
        raise RuntimeError("generator didn't yield") from None


async def aend(generator: AsyncGenerator[Any]) -> None:
    """As ``end``."""
    try:
        await anext(generator)
    except StopAsyncIteration:
        return
    try:
        raise RuntimeError("generator didn't stop")
    finally:
        await generator.aclose()


async def athrow(generator: AsyncGenerator[Any], error: BaseException) -> bool | None:
    """As ``throw``."""
    manager = contextlib._AsyncGeneratorContextManager(lambda: generator, (), {})
    return await manager.__aexit__(type(error), error, error.__traceback__)
