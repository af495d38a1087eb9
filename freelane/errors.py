"""What freelane raises for its caller's mistakes; each message names the cure."""

from __future__ import annotations


class FreelaneError(Exception):
    """The base of freelane's own errors."""


class ConfigError(FreelaneError):
    """A setting cannot be used. The command prints it as one line and exits with 2."""


class StartupError(FreelaneError):
    """The app's lifespan failed on startup. The command exits with 3."""
