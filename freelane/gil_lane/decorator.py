"""``@freelane.gil``: mark an endpoint for the gil lane."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")

MARK = "__freelane_gil__"
# Whether anything was marked in this process: where nothing was, nobody has to look at an app's every route.
used = False


def gil(endpoint: T) -> T:
    """Mark ``endpoint``, a function, an ``HTTPEndpoint`` class or an ASGI app that is mounted.

    Its requests are served by a process of its own, with the GIL on. It is returned as it is,
    so the order of decorators does not matter, and elsewhere (in a test client, under another
    server) the mark means nothing. Raises TypeError for what takes no attributes.
    """
    global used
    used = True
    try:
        setattr(endpoint, MARK, True)
    except AttributeError:
        raise TypeError(f"a {type(endpoint).__name__} cannot be marked: put @freelane.gil on its function") from None
    return endpoint


def marked(endpoint: Any) -> bool:
    """Whether ``gil`` marked ``endpoint``, or what it wraps."""
    seen = set()
    while endpoint is not None and id(endpoint) not in seen:
        seen.add(id(endpoint))
        # A mark on a class is no mark on the classes made from it.
        if MARK in getattr(endpoint, "__dict__", ()):
            return True
        endpoint = (
            getattr(endpoint, "__wrapped__", None) or getattr(endpoint, "__func__", None) or getattr(endpoint, "func", None)
        )
    return False
