"""The server, for apps that start it themselves (``app.run()``): whoever has one puts it here. Imports nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# (app, options) -> the server, with ``run() -> exit code`` and ``stop()``; options are those of ``freelane run``.
make_server: Callable[[Any, dict[str, Any]], Any] | None = None
