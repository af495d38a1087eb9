"""FastAPI apps: what FastAPI works out for every request, worked out once at start.

Each route's dependencies and parameters become one generated function (``source``). A route
that this cannot cover keeps FastAPI's handler, and an unknown FastAPI release keeps all of it.
"""

from __future__ import annotations

import sys
from typing import Any

from freelane.adapters.starlette import built_on
from freelane.adapters.starlette.reader import Reader


def knows(app: Any) -> bool:
    """Whether ``app`` is a FastAPI app; imports FastAPI only if the app did."""
    fastapi = sys.modules.get("fastapi")
    return fastapi is not None and isinstance(app, fastapi.FastAPI)


def reader_for(app: Any) -> Reader | None:
    """The reader of a FastAPI app; None for a release that is not known."""
    from freelane.adapters.compat import fastapi_gate, free_threading, older_fastapi

    free_threading.open_generators_at_once()
    if fastapi_gate.obstacle():
        return None
    older_fastapi.fill()
    from freelane.adapters.fastapi.reader import FastAPIReader

    return FastAPIReader()


built_on.append((knows, reader_for))
