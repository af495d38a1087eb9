"""Values that cannot be used, alone or together."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from freelane.errors import ConfigError
from freelane.settings.option import Option

if TYPE_CHECKING:
    from freelane.settings.table import Settings


def check(settings: Settings) -> None:
    """Raise ConfigError for the first value that cannot be used."""
    from freelane.settings.table import flag

    for item in fields(settings):
        value = getattr(settings, item.name)
        if value is not None:
            check_value(flag(item.name), value, item.metadata["option"])
    if settings.port > 65535:
        raise ConfigError(f"--port must be at most 65535, not {settings.port}")
    if settings.root_path and not settings.root_path.startswith("/"):
        raise ConfigError(f"--root-path must start with '/', not '{settings.root_path}'")
    if settings.health_path is not None and not settings.health_path.startswith("/"):
        raise ConfigError(f"--health-path must start with '/', not '{settings.health_path}'")
    if not settings.gil_timeout > 0:
        raise ConfigError(f"--gil-timeout must be more than 0, not {settings.gil_timeout:g}")
    if settings.reload and settings.loops > 1:
        raise ConfigError("--reload serves with one loop: leave out --loops")
    check_headers(settings)
    check_gil(settings)
    if settings.ssl_certfile is not None or settings.ssl_keyfile or settings.ssl_ca_certs or settings.ssl_client_verify:
        from freelane.settings import tls

        tls.check(settings)


def check_value(name: str, value: Any, known: Option) -> None:
    if known.choices and str(value) not in known.choices and not (known.open and ":" in value):
        import difflib

        close = difflib.get_close_matches(str(value), known.choices, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ConfigError(f"{name} must be one of {', '.join(known.choices)}, not '{value}'{hint}")
    if known.minimum is not None and value < known.minimum:
        raise ConfigError(f"{name} must be at least {known.minimum:g}, not {value}")


def check_headers(settings: Settings) -> None:
    for header in settings.headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip() or not (header.isascii() and header.isprintable()):
            raise ConfigError(f"--header '{header}' is no header: write NAME:VALUE")


def check_gil(settings: Settings) -> None:
    for entry in settings.gil:
        if not entry.startswith("/") and entry.count(":") != 1:
            raise ConfigError(
                f"--gil '{entry}' names nothing: write module:function, a path such as '/analyze/*', or module:EXTENSION"
            )
    if settings.gil_python is not None and not is_program(settings.gil_python):
        raise ConfigError(f"--gil-python '{settings.gil_python}' is no program")


def is_program(name: str) -> bool:
    import shutil

    return shutil.which(name) is not None
