"""Static files: never outside their directory, with Range, ETag and Last-Modified, off the event loop."""

from __future__ import annotations

import os
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles


class StaticDirectory:
    """The files below ``directory`` under the URL prefix ``prefix``. Raises ValueError if it is no directory."""

    def __init__(self, prefix: str, directory: str) -> None:
        self.prefix = prefix if prefix.endswith("/") else prefix + "/"
        if not os.path.isdir(directory):
            raise ValueError(f"static directory '{directory}' not found")
        # As it is now: the process may change its working directory.
        self.files = StaticFiles(directory=os.path.realpath(directory))

    async def response(self, scope: Any, path: str) -> Response | None:
        """The response for ``path``; None where there is no such file, which leaves it to the routes."""
        if not path.startswith(self.prefix):
            return None
        rest = path[len(self.prefix) :].lstrip("/")
        if not rest:
            return None
        parts = rest.split("/")
        if ".." in parts or "\\" in rest or "\0" in rest:
            return Response(b"forbidden", 403, {"x-content-type-options": "nosniff"})
        try:
            # Starlette finds the file and opens it on a thread, and follows no link out of the directory.
            response = await self.files.get_response(os.path.normpath(os.path.join(*parts)), scope)
        except HTTPException as exc:
            if exc.status_code in (404, 405):
                return None
            return Response(str(exc.detail).encode(), exc.status_code)
        response.headers.setdefault("x-content-type-options", "nosniff")
        return response
