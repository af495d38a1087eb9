"""Other ASGI apps below a path, for moving an app one route at a time."""

from __future__ import annotations

from typing import Any


class Mount:
    """``app`` below ``path``; ``state`` is what its lifespan left."""

    def __init__(self, path: str, app: Any) -> None:
        if path and not path.startswith("/"):
            raise ValueError(f"a mount's path must start with '/', not '{path}'")
        if not callable(app):
            raise TypeError(f"a {type(app).__name__} is no ASGI app: it cannot be called")
        self.path = path.rstrip("/")
        self.app = app
        self.state: dict[str, Any] | None = None

    def matches(self, path: str) -> bool:
        return not self.path or path == self.path or path.startswith(self.path + "/")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope = dict(scope)
        if self.state is not None:
            scope["state"] = {**scope.get("state", {}), **self.state}
        if self.path:
            # ASGI: the prefix moves to root_path, `path` stays whole.
            scope["root_path"] = scope.get("root_path", "") + self.path
        await self.app(scope, receive, send)
