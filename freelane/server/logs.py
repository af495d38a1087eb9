"""Logging set-up, under uvicorn's names: ``uvicorn.error`` to stderr, ``uvicorn.access`` to stdout.

What people configure, filter or silence by these names is honoured; ``freelane.error``, which the code
logs to, hands every record on to ``uvicorn.error``.
"""

from __future__ import annotations

import copy
import http
import json
import logging
import logging.config
import sys
import time
import traceback
import urllib.parse
from pathlib import Path
from typing import Any

from freelane.errors import ConfigError
from freelane.settings import Settings

access = logging.getLogger("uvicorn.access")
# What asyncio and people know as a level below debug.
TRACE = 5
LEVELS = {"trace": TRACE, "debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
COLOURS = {TRACE: 34, 10: 36, 20: 32, 30: 33, 40: 31, 50: 91}
STATUS_COLOURS = {1: 97, 2: 32, 3: 33, 4: 31, 5: 91}
ACCESS_FORMAT = '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s'


class HandOn(logging.Handler):
    """Gives every record to another logger, with its name, level, filters and handlers."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.logger = logging.getLogger(name)

    def emit(self, record: logging.LogRecord) -> None:
        record.name = self.logger.name
        if self.logger.isEnabledFor(record.levelno):
            self.logger.handle(record)


class Lines(logging.Formatter):
    """``LEVEL:   message``, as uvicorn writes it. ``process`` is named in each line that is not the server's own."""

    def __init__(self, process: str, colours: bool) -> None:
        super().__init__()
        self.prefix = f"[{process}] " if process else ""
        self.colours = colours

    def head(self, record: logging.LogRecord) -> str:
        level = painted(record.levelname, COLOURS.get(record.levelno, 0)) if self.colours else record.levelname
        return f"{level}:{' ' * (9 - len(record.levelname))}{self.prefix}"

    def format(self, record: logging.LogRecord) -> str:
        if self.colours:
            # Others have the same record, and no colours: the text of its traceback is kept in it.
            record = copy.copy(record)
            record.exc_text = None
        text = super().format(record)
        # The start line and what has its own level stand alone.
        return text if getattr(record, "bare", False) else self.head(record) + text

    def formatException(self, ei: Any) -> str:
        return traceback_text(ei[1], self.colours)


class AccessLines(Lines):
    """A request's line; ``form`` is a %-format of what ``access_fields`` gives."""

    def __init__(self, form: str | None, process: str, colours: bool) -> None:
        super().__init__(process, colours)
        self.form = form

    def format(self, record: logging.LogRecord) -> str:
        if not isinstance(record.args, tuple) or len(record.args) != 5:
            return super().format(record)
        fields = access_fields(record)
        if self.colours:
            fields["request_line"] = f"\x1b[1m{fields['request_line']}\x1b[0m"
            fields["status_code"] = painted(fields["status_code"], STATUS_COLOURS.get(fields["status"] // 100, 0))
            fields["levelprefix"] = fields["levelprefix"].replace(
                record.levelname, painted(record.levelname, COLOURS.get(record.levelno, 0))
            )
        if self.form is None:
            fields["levelprefix"] += self.prefix
        return (ACCESS_FORMAT if self.form is None else self.form) % fields


class JSONLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        made = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{made}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.name == access.name and isinstance(record.args, tuple) and len(record.args) == 5:
            fields = access_fields(record)
            line |= {"client": fields["client_addr"], "method": fields["method"], "path": fields["full_path"],
                     "status": fields["status"]}  # fmt: skip
            line |= getattr(record, "fields", {})
        else:
            line["message"] = record.getMessage()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def access_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What an access line may name: uvicorn's fields, and those that ``log_access`` left."""
    client, method, target, version, status = record.args  # type: ignore[misc]
    try:
        phrase = http.HTTPStatus(status).phrase  # type: ignore[arg-type]
    except ValueError:
        phrase = ""
    more = getattr(record, "fields", {})
    return {
        "client_addr": client, "method": method, "full_path": target, "http_version": version, "status": status,
        "request_line": f"{method} {target} HTTP/{version}", "status_code": f"{status} {phrase}",
        "levelprefix": f"{record.levelname}:{' ' * (8 - len(record.levelname))}",
        "took": "" if more.get("duration") is None else f"{more['duration'] * 1000:.1f} ms",
        "asctime": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created)), **more,
    }  # fmt: skip


def traceback_text(exc: BaseException, colours: bool) -> str:
    """A traceback as Python prints it; without a line's end."""
    lines = traceback.TracebackException.from_exception(exc).format(**{"colorize": True} if colours else {})  # type: ignore[arg-type]
    return "".join(lines).removesuffix("\n")


def painted(text: str, colour: int) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def configure(settings: Settings, process: str = "") -> None:
    """Give uvicorn's and Granian's loggers their handlers. The root and the app's own stay alone. Raises ConfigError.

    ``process`` is named in each line, for a process that is not the server itself.
    """
    logging.addLevelName(TRACE, "TRACE")
    level = LEVELS[settings.log_level]
    error = logging.getLogger("freelane.error")
    error.handlers[:] = [HandOn("uvicorn.error")]
    error.propagate = False
    error.setLevel(TRACE)
    set_up("_granian", sys.stderr, Lines("", coloured(settings, sys.stderr)))
    # Granian tells of every worker and runtime it starts; the start line says that once.
    logging.getLogger("_granian").setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)
    if settings.log_config is not None:
        load_config(settings.log_config)
        if settings.log_level != "info":
            for name in ("uvicorn.error", "uvicorn.access"):
                logging.getLogger(name).setLevel(level)
        return
    if settings.access_log_format is not None:
        check_format(settings.access_log_format)
    as_json = settings.log_format == "json"
    set_up("uvicorn", sys.stderr, JSONLines() if as_json else Lines(process, coloured(settings, sys.stderr)))
    lines = AccessLines(settings.access_log_format, process, coloured(settings, sys.stdout))
    set_up("uvicorn.access", sys.stdout, JSONLines() if as_json else lines)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel(level)


def check_format(form: str) -> None:
    """Raises ConfigError for a format that names what no line has."""
    sample = logging.LogRecord(access.name, 20, "", 0, "", ("", "GET", "/", "1.1", 200), None)
    more = {"lane": "", "bytes": 0, "duration": 0.0, "request_id": ""}
    fields = {**access_fields(sample), **more}
    try:
        form % fields
    except (KeyError, ValueError, TypeError) as exc:
        known = ", ".join(sorted(fields))
        raise ConfigError(f"--access-log-format '{form}' cannot be used ({exc}): a line has {known}") from None


def coloured(settings: Settings, stream: Any) -> bool:
    return stream.isatty() if settings.use_colors is None else settings.use_colors


def set_up(name: str, stream: Any, formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.getLogger(name)
    logger.handlers[:] = [handler]
    logger.propagate = False


def load_config(path: str) -> None:
    """A file as uvicorn takes it: JSON, YAML, or ini. Raises ConfigError."""
    if not Path(path).is_file():
        raise ConfigError(f"--log-config: no file '{path}'")
    try:
        if path.endswith(".json"):
            logging.config.dictConfig(json.loads(Path(path).read_text()))
        elif path.endswith((".yaml", ".yml")):
            try:
                import yaml
            except ImportError:
                raise ConfigError("--log-config in YAML needs PyYAML: pip install 'freelane[standard]'") from None
            logging.config.dictConfig(yaml.safe_load(Path(path).read_text()))
        else:
            logging.config.fileConfig(path, disable_existing_loggers=False)
    except ConfigError:
        raise
    except Exception as exc:
        cause = f": {exc.__cause__}" if exc.__cause__ is not None else ""
        raise ConfigError(f"--log-config '{path}' cannot be used: {exc}{cause}") from None


def log_access(scope: dict[str, Any], status: int, fields: dict[str, Any] | None = None) -> None:
    """One line per response, with uvicorn's arguments, so that its formatter and people's filters can read them."""
    client = scope["client"]
    target = urllib.parse.quote(scope["path"])
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("ascii", "replace")
    address = f"{client[0]}:{client[1]}" if client else ""
    if scope["type"] == "websocket":
        outcome = "[accepted]" if status == 101 else str(status)
        logging.getLogger("uvicorn.error").info('%s - "WebSocket %s" %s', address, target, outcome)
    else:
        extra = None if fields is None else {"fields": fields}
        access.info('%s - "%s %s HTTP/%s" %d', address, scope["method"], target, scope["http_version"], status, extra=extra)
