"""One settings object: command line, then FREELANE_* environment, then [tool.freelane], then defaults."""

from __future__ import annotations

import dataclasses
import difflib
import os
import shutil
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from freelane.errors import ConfigError

TRANSPORTS = ("auto", "rsgi", "asgi")
LOG_LEVELS = ("critical", "error", "warning", "info", "debug")
HTTP_VERSIONS = ("auto", "1", "2")
LIFESPANS = ("auto", "off")
SWITCH = ("on", "off")


def option(default: Any, help: str, choices: tuple[str, ...] = (), minimum: int | None = None) -> Any:
    metadata = {"help": help, "choices": choices, "minimum": minimum}
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How to serve an app. Times are seconds."""

    host: str = option("127.0.0.1", "address to listen on")
    port: int = option(8000, "port to listen on; 0 takes a free one", minimum=0)
    uds: str | None = option(None, "Unix socket to listen on instead")
    workers: int = option(1, "processes, each with the whole app", minimum=1)
    loops: int = option(1, "event loops in each process, each on a thread of its own", minimum=1)
    threads: int = option(40, "`def` endpoints that may run at once, per worker", minimum=1)
    backlog: int = option(1000, "`def` calls that may wait for a thread before 503", minimum=0)
    transport: str = option("auto", "Granian protocol the app is served through", choices=TRANSPORTS)
    factory: bool = option(False, "the target is a function that returns the app")
    root_path: str = option("", "path prefix that a proxy strips (ASGI root_path)")
    lifespan: str = option("auto", "run the app's lifespan", choices=LIFESPANS)
    log_level: str = option("info", "least level to log", choices=LOG_LEVELS)
    access_log: bool = option(False, "log every request")
    show_lanes: bool = option(False, "answer with freelane-lane, -thread and -gil headers")
    shutdown_timeout: int = option(30, "seconds that running requests get on shutdown", minimum=0)
    proxy_headers: bool = option(True, "believe X-Forwarded-For and -Proto of trusted proxies")
    forwarded_allow_ips: str = option("127.0.0.1", "proxies to trust: addresses, networks or *")
    batch: bool = option(True, "run under SCHED_BATCH while under load, where the system has it")
    http: str = option("auto", "HTTP version", choices=HTTP_VERSIONS)
    ssl_certfile: str | None = option(None, "TLS certificate chain, PEM")
    ssl_keyfile: str | None = option(None, "TLS private key, PKCS#8 PEM")
    ssl_keyfile_password: str | None = option(None, "password of the key")
    ssl_ca_certs: str | None = option(None, "CA certificates that clients are checked against, PEM")
    ssl_client_verify: bool = option(False, "require client certificates")
    app_dir: str | None = option(None, "directory to import the app from")
    alias: str | None = option(None, "module name that stands for freelane.adapters.pyre: pyreframework")
    gil: list[str] = option([], "for the gil lane: module:function, /path/*, or module:EXTENSION (repeatable)")
    gil_auto: str = option("on", "find the endpoints that need the GIL, for the gil lane", choices=SWITCH)
    gil_workers: int = option(1, "processes of the gil lane", minimum=1)
    gil_timeout: float = option(30.0, "seconds until a request of the gil lane is answered 504", minimum=0)
    gil_backlog: int = option(1000, "requests that may wait for the gil lane before 503", minimum=0)
    gil_max_rss: int | None = option(None, "memory of a gil lane process, in MiB, at which it is ended", minimum=1)
    gil_max_requests: int | None = option(None, "requests after which a gil lane process is replaced", minimum=1)
    gil_python: str | None = option(None, "interpreter of the gil lane, for wheels that need one with the GIL")
    metrics_port: int | None = option(None, "port of the Prometheus page, on --host", minimum=0)

    def __post_init__(self) -> None:
        for item in fields(self):
            if getattr(self, item.name) is not None:
                check(item.name, getattr(self, item.name), item.metadata)
        if self.port > 65535:
            raise ConfigError(f"--port must be at most 65535, not {self.port}")
        if self.root_path and not self.root_path.startswith("/"):
            raise ConfigError(f"--root-path must start with '/', not '{self.root_path}'")
        if not self.gil_timeout > 0:
            raise ConfigError(f"--gil-timeout must be more than 0, not {self.gil_timeout:g}")
        check_gil(self)
        check_tls(self)

    @property
    def tls(self) -> bool:
        return self.ssl_certfile is not None


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def check(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
    choices, minimum = metadata["choices"], metadata["minimum"]
    if choices and value not in choices:
        raise ConfigError(f"{flag(name)} must be one of {', '.join(choices)}, not '{value}'")
    if minimum is not None and value < minimum:
        raise ConfigError(f"{flag(name)} must be at least {minimum}, not {value}")


def check_gil(settings: Settings) -> None:
    for entry in settings.gil:
        if not entry.startswith("/") and entry.count(":") != 1:
            raise ConfigError(
                f"--gil '{entry}' names nothing: write module:function, a path such as '/analyze/*', or module:EXTENSION"
            )
    if settings.gil_python is not None and shutil.which(settings.gil_python) is None:
        raise ConfigError(f"--gil-python '{settings.gil_python}' is no program")


def check_tls(settings: Settings) -> None:
    if settings.ssl_certfile is None:
        for name in ("ssl_keyfile", "ssl_ca_certs", "ssl_client_verify"):
            if getattr(settings, name):
                raise ConfigError(f"{flag(name)} needs --ssl-certfile")
        return
    if settings.ssl_keyfile is None:
        raise ConfigError("--ssl-certfile needs --ssl-keyfile")
    for name in ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs"):
        path = getattr(settings, name)
        if path is None:
            continue
        try:
            with open(path, "rb"):
                pass
        except OSError as exc:
            raise ConfigError(f"{flag(name)}: cannot read '{path}': {exc.strerror}") from None
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, settings.ssl_keyfile_password or "")
        if settings.ssl_ca_certs is not None:
            context.load_verify_locations(settings.ssl_ca_certs)
    except (ssl.SSLError, OSError) as exc:
        raise ConfigError(
            f"--ssl-certfile '{settings.ssl_certfile}' and --ssl-keyfile '{settings.ssl_keyfile}' "
            f"cannot be used: {getattr(exc, 'reason', None) or exc}"
        ) from None
    if settings.ssl_client_verify and settings.ssl_ca_certs is None:
        raise ConfigError("--ssl-client-verify needs --ssl-ca-certs")


def kinds() -> dict[str, type]:
    """The plain type of each setting: str, int, float, bool, or list for several str."""
    hints = get_type_hints(Settings)
    return {
        name: list if get_origin(hint) is list else next((arg for arg in get_args(hint) if arg is not type(None)), hint)
        for name, hint in hints.items()
    }


def convert(name: str, text: str, source: str) -> Any:
    kind = kinds()[name]
    if kind is bool:
        lowered = text.strip().lower()
        if lowered in ("1", "true", "yes", "on"):
            return True
        if lowered in ("0", "false", "no", "off", ""):
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
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for name in kinds():
        key = f"FREELANE_{name.upper()}"
        if key in environ:
            values[name] = convert(name, environ[key], key)
    return values


def from_pyproject(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            table = tomllib.load(file).get("tool", {}).get("freelane", {})
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, OSError) as exc:
        raise ConfigError(f"{path}: {exc}") from None
    values: dict[str, Any] = {}
    known = kinds()
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean '{close[0].replace('_', '-')}'?" if close else ""
            raise ConfigError(f"{path}: [tool.freelane] has no setting '{key}'{hint}")
        if known[name] is float and type(value) is int:
            value = float(value)
        if known[name] is list and isinstance(value, list) and not all(isinstance(part, str) for part in value):
            raise ConfigError(f"{path}: [tool.freelane] {key} must be a list of strings, not {value!r}")
        if type(value) is not known[name]:
            raise ConfigError(f"{path}: [tool.freelane] {key} must be a {known[name].__name__}, not {value!r}")
        values[name] = value
    return values


def resolve(given: Mapping[str, Any], environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Settings from ``given`` (the command line's or a caller's), completed in the order above.

    Raises ConfigError for a value that cannot be used, naming where it came from.
    """
    directory = Path.cwd() if directory is None else directory
    values = from_pyproject(directory / "pyproject.toml")
    values |= from_environment(os.environ if environ is None else environ)
    known = kinds()
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(f"no setting '{name}'" + (f"; did you mean '{close[0]}'?" if close else ""))
    values |= given
    return dataclasses.replace(Settings(), **values)
