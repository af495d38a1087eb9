"""What freelane raises for its caller's mistakes, each message with its cure, and what its processes exit with."""

from __future__ import annotations

# Exit codes, of every command and process of ours; 0 is a clean end, 128 + n the signal n.
EXIT_FOUND = 1  # `check` found what needs a person, `bench` answers that differ
EXIT_CONFIG = 2  # a setting or an argument cannot be used
EXIT_STARTUP = 3  # the start failed: the app, its import, its lifespan, its address; as uvicorn says it
EXIT_INTERRUPTED = 130  # Ctrl-C


class FreelaneError(Exception):
    """The base of freelane's own errors."""


class ConfigError(FreelaneError):
    """A setting cannot be used. The command prints it as one line and exits with ``code``."""

    code = EXIT_CONFIG


class UnavailableError(ConfigError):
    """What a start needs is not there: the app, the address."""

    code = EXIT_STARTUP


class StartupError(FreelaneError):
    """The app's lifespan failed on startup. The command exits with 3."""
