"""``JSONResponse.render`` in one pass, for content that the library would write the same.

Starlette has a new encoder made for each response. What is not made of JSON's own types goes to
its own method, and so does everything while a tool has its JSON in the library's place.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from freelane.adapters.compat import versions
from freelane.fastcore.json.plain import plain_text

# What that method uses.
NAMES = ("json:dumps", "json:JSONEncoder", "starlette.responses:json")


def install() -> None:
    """Put it in the method's place, unless that is somebody else's. Does it once."""
    original = JSONResponse.render
    if original in versions.supplied or not versions.is_own(original) or versions.replaced(NAMES):
        return
    unchanged = versions.watch(NAMES).holds

    def render(self: JSONResponse, content: Any) -> bytes:
        text = plain_text(content) if unchanged() else None
        return original(self, content) if text is None else text

    versions.supplied.add(render)
    JSONResponse.render = render  # type: ignore[method-assign]
