"""Run the Starlette or FastAPI app you already have on free-threaded Python, unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from freelane.errors import ConfigError, FreelaneError, StartupError
    from freelane.gil_lane.marks import gil
    from freelane.wrapper import serve, wrap

__version__ = "0.1.0"

__all__ = ["ConfigError", "FreelaneError", "StartupError", "__version__", "gil", "serve", "wrap"]


def __getattr__(name: str) -> Any:
    # `freelane --help` and a bad option need none of what these import.
    if name in ("serve", "wrap"):
        from freelane import wrapper

        return getattr(wrapper, name)
    if name == "gil":
        from freelane.gil_lane.marks import gil

        return gil
    if name in ("ConfigError", "FreelaneError", "StartupError"):
        from freelane import errors

        return getattr(errors, name)
    raise AttributeError(f"module 'freelane' has no attribute '{name}'")
