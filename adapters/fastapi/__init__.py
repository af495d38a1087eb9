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


def reader_for(app: Any) -> Reader:
    """The reader of a FastAPI app. Raises NotKnown for a release that cannot be compiled."""
    from freelane.adapters.compat import fastapi_gate, free_threading, older_fastapi, versions

    free_threading.open_generators_at_once()
    versions.require("fastapi", fastapi_gate.PRIVATE)
    older_fastapi.fill()
    from freelane.adapters.fastapi.reader import FastAPIReader

    return FastAPIReader()


built_on.append((knows, reader_for))
