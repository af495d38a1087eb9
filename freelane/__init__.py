"""Run the Starlette or FastAPI app you already have on free-threaded Python, unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from freelane.fastcore import launch
from freelane.fastcore.version import __version__

if TYPE_CHECKING:
    from freelane.api import serve, wrap
    from freelane.errors import ConfigError, FreelaneError, StartupError
    from freelane.gil_lane.decorator import gil

__all__ = ["ConfigError", "FreelaneError", "StartupError", "__version__", "gil", "serve", "wrap"]


def __getattr__(name: str) -> Any:
    # `freelane --help` and a bad option need none of what these import.
    if name in ("serve", "wrap"):
        from freelane import api

        return getattr(api, name)
    if name == "gil":
        from freelane.gil_lane.decorator import gil

        return gil
    if name in ("ConfigError", "FreelaneError", "StartupError"):
        from freelane import errors

        return getattr(errors, name)
    raise AttributeError(f"module 'freelane' has no attribute '{name}'")


def make_server(app: Any, options: dict[str, Any]) -> Any:
    from freelane.server.host import Server
    from freelane.settings import resolve

    return Server(lambda: app, resolve(options))


launch.make_server = make_server
