"""What libraries do in every call that free-threaded Python makes dear, replaced by what gives the same.

Each replacement is made only while the name it replaces is what is known here; nothing is said
where it is not, since all that is lost is time.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import sys
from collections.abc import Callable
from typing import Any

from freelane.adapters.compat.versions import find_optional

FREE_THREADED = "free-threading build" in sys.version

ANYIO = "anyio._backends._asyncio"
FASTAPI = "fastapi.dependencies.utils"
CACHE_KEY = "sqlalchemy.sql.cache_key"
# What SQLAlchemy's memoizing decorator does with the method, its object and the result.
MEMOIZES = frozenset({"__name__", "__doc__", "__dict__", "_memoized_keys"})
# What anyio's worker threads may ask of their queue, of all that a queue.Queue has.
ASKED = frozenset({"get", "put_nowait", "task_done"})
OFFERED = frozenset(name for name in vars(queue.Queue) if not name.startswith("_"))


class ParkingQueue(queue.SimpleQueue[Any]):
    """The queue of one of anyio's worker threads, which sleeps at once; a ``Queue``'s lock spins 40 times first.

    A task that is freed on another thread than its loop's stops every thread, and the call's
    scope refers to its task: the loop's thread keeps it until it hands over the next call.
    """

    kept: Any = None

    def __new__(cls, maxsize: int = 0) -> ParkingQueue:
        return super().__new__(cls)

    def put_nowait(self, item: Any) -> None:
        self.kept = item and item[-1]
        super().put_nowait(item)

    def task_done(self) -> None:
        """Nobody joins it."""


def park_anyio_threads() -> bool:
    """Let anyio's worker threads wait on a ``ParkingQueue``. Returns whether they do."""
    module = find_optional(f"{ANYIO}:__dict__")
    thread = find_optional(f"{ANYIO}:WorkerThread")
    backend = find_optional(f"{ANYIO}:AsyncIOBackend")
    if module is None or thread is None or backend is None:
        return False
    if module.get("Queue") is ParkingQueue:
        return True
    functions = [thread.run, thread.stop, thread.__init__, getattr(backend, "run_sync_in_worker_thread", thread.run)]
    asked = {name for function in functions for name in function.__code__.co_names} & OFFERED
    if module.get("Queue") is not queue.Queue or not asked <= ASKED:
        return False
    module["Queue"] = ParkingQueue
    return True


def unwrapped(manager: Callable[..., Any], make: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``contextlib``'s decorator ``manager`` without the name and docstring, for results that are called at once.

    Setting those of a new function stops every thread, four times for each call of ``manager``.
    """

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.partial(open_manager, make, function)

    decorator.replaces = manager  # type: ignore[attr-defined]
    return decorator


def open_manager(make: type, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return make(function, args, kwargs)


def open_generators_at_once() -> bool:
    """Spare FastAPI a new function for every dependency with ``yield`` in every request. Returns whether it is so."""
    module = find_optional(f"{FASTAPI}:__dict__")
    if module is None:
        return False
    done = True
    for name, kind in (
        ("contextmanager", "_GeneratorContextManager"),
        ("asynccontextmanager", "_AsyncGeneratorContextManager"),
    ):
        make = find_optional(f"contextlib:{kind}")
        used, known = module.get(name), getattr(contextlib, name)
        if used is known and make is not None:
            module[name] = unwrapped(known, make)
        done = done and getattr(module.get(name), "replaces", None) is known
    return done


def memoize_statements_unnamed() -> bool:
    """Spare SQLAlchemy a function with a name and docstring for every statement. Returns whether it is so.

    Its cache key is kept as a function that returns it; naming that stops every thread, twice.
    """
    module = sys.modules.get(CACHE_KEY)
    holder = getattr(module, "MemoizedHasCacheKey", None)
    method = vars(holder).get("_generate_cache_key") if holder is not None else None
    if hasattr(method, "replaces"):
        return True
    code = getattr(method, "__code__", None)
    if code is None or code.co_freevars != ("fn",) or set(code.co_names) != MEMOIZES:
        return False
    holder._generate_cache_key = unnamed(method.__closure__[0].cell_contents)  # type: ignore[union-attr]
    return True


def unnamed(method: Callable[..., Any]) -> Callable[..., Any]:
    """SQLAlchemy's ``HasMemoized.memoized_instancemethod``, but for the name and docstring of what it keeps."""

    @functools.wraps(method)
    def oneshot(self: Any, *args: Any, **more: Any) -> Any:
        result = method(self, *args, **more)
        self.__dict__[method.__name__] = lambda *args, **more: result
        self._memoized_keys |= {method.__name__}
        return result

    oneshot.replaces = method  # type: ignore[attr-defined]
    return oneshot
