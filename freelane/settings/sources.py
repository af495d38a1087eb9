"""Where settings come from: the command line, the environment, [tool.freelane] in pyproject.toml, defaults; in this order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freelane.errors import ConfigError
from freelane.settings.table import Settings, flag, kinds, options

PREFIXES = ("FREELANE_", "UVICORN_")


def near(name: str, known: Any) -> str:
    """``; did you mean 'x'?`` where one of ``known`` is close to ``name``, else nothing."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def convert(name: str, text: str, source: str) -> Any:
    """A setting's value from ``text``. Raises ConfigError that begins with ``source``."""
    kind = kinds()[name]
    if kind is bool:
        lowered = text.strip().lower()
        if lowered in ("1", "true", "yes", "on", "t", "y"):
            return True
        if lowered in ("0", "false", "no", "off", "f", "n", ""):
            return False
        raise ConfigError(f"{source} must be true or false, not '{text}'")
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise ConfigError(f"{source} must be a whole number, not '{text}'") from None
    if kind is float:
        try:
            return float(text)
        except ValueError:
            raise ConfigError(f"{source} must be a number, not '{text}'") from None
    if kind is list:
        return [part.strip() for part in text.split(options()[name].separator) if part.strip()]
    return text


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """``FREELANE_*``, then ``UVICORN_*``, then the variables that deployments set for any server."""
    values = {}
    for name, known in options().items():
        keys = [f"FREELANE_{name.upper()}"]
        if known.uvicorn is not None:
            keys.append(f"UVICORN_{name.upper()}")
        for key in (*keys, *known.environment):
            if key not in environ:
                continue
            if key.startswith("UVICORN_") and kinds()[name] is list:
                # As click splits them for uvicorn.
                text = environ[key]
                values[name] = text.split(os.pathsep) if name == "reload_dirs" else text.split()
            else:
                values[name] = convert(name, environ[key], key)
            break
    return values


def read_pyproject(path: Path) -> dict[str, Any]:
    """The ``tool`` tables of a pyproject.toml; empty where there is none. Raises ConfigError for one that is broken."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{path}: {exc}") from None
    import tomllib

    try:
        tools: dict[str, Any] = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path}: {exc}") from None
    return tools


def from_pyproject(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    known = kinds()
    for key, value in read_pyproject(path).get("freelane", {}).items():
        name = key.replace("-", "_")
        if name in ("app", "migration"):
            continue  # the target, and what freelane.migration keeps there
        if name not in known:
            close = near(name, known).replace("_", "-")
            raise ConfigError(f"{path}: [tool.freelane] has no setting '{key}'{close}")
        if known[name] is float and type(value) is int:
            value = float(value)
        if known[name] is list and isinstance(value, list) and not all(isinstance(part, str) for part in value):
            raise ConfigError(f"{path}: [tool.freelane] {key} must be a list of strings, not {value!r}")
        if type(value) is not known[name]:
            raise ConfigError(f"{path}: [tool.freelane] {key} must be a {known[name].__name__}, not {value!r}")
        values[name] = value
    return values


def load_env_file(path: str) -> None:
    """Put the variables of a file into the environment; those that are there stay. Raises ConfigError."""
    try:
        import dotenv
    except ImportError:
        raise ConfigError("--env-file needs python-dotenv: pip install 'freelane[standard]'") from None
    if not os.path.exists(path):
        raise ConfigError(f"--env-file: no file '{path}'")
    dotenv.load_dotenv(path)


def resolve(
    given: Mapping[str, Any], environ: Mapping[str, str] | None = None, directory: Path | None = None,
    *, defaults: Mapping[str, Any] | None = None,
) -> Settings:  # fmt: skip
    """Settings from ``given`` (the command line's or a caller's), completed in the order above.

    ``defaults`` are a command's own. Loads ``env_file`` first: as under uvicorn, its ``UVICORN_*`` are for the app
    alone. Raises ConfigError for a value that cannot be used, naming where it came from.
    """
    directory = Path.cwd() if directory is None else directory
    known = kinds()
    for name in given:
        if name not in known:
            raise ConfigError(f"no setting '{name}'{near(name, known)}")
    values = dict(defaults or {}) | from_pyproject(directory / "pyproject.toml")
    environ = os.environ if environ is None else environ
    before = {key: value for key, value in environ.items() if key.startswith("UVICORN_")}
    found = from_environment(environ)
    env_file = given.get("env_file") or found.get("env_file") or values.get("env_file")
    if env_file is not None:
        load_env_file(env_file)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("UVICORN_")}
        found = from_environment(kept | before)
    return Settings(**values | found | dict(given))


def flags() -> dict[str, str]:
    """The setting of each option."""
    return {flag(name): name for name in options()}
