"""Contenders: what is compared. ``parse`` reads how a command line names one; a run starts it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from freelane.errors import ConfigError, FreelaneError

HOST = "127.0.0.1"

FRAMEWORKS = ("starlette", "fastapi", "pydantic", "anyio")

# How each server is asked for an app; {app}, {host} and {port} are put in when it starts.
SERVERS: dict[str, tuple[str, ...]] = {
    "freelane": (
        "-m", "freelane.cli.main", "run", "{app}", "--host", "{host}", "--port", "{port}", "--log-level", "warning",
    ),
    "uvicorn": (
        "-m", "uvicorn", "{app}", "--host", "{host}", "--port", "{port}", "--log-level", "warning", "--no-access-log",
    ),
    "granian": (
        "-m", "granian", "--interface", "asgi", "{app}", "--host", "{host}", "--port", "{port}", "--log-level", "warning",
    ),
    "granian-rsgi": (
        "-m", "granian", "--interface", "rsgi", "{app}", "--host", "{host}", "--port", "{port}", "--log-level", "warning",
    ),
    "hypercorn": ("-m", "hypercorn", "{app}", "--bind", "{host}:{port}", "--log-level", "warning"),
    "gunicorn": (
        "-m", "gunicorn", "{app}", "--bind", "{host}:{port}", "--log-level", "warning", "-k", "uvicorn_worker.UvicornWorker",
    ),
    "daphne": ("-m", "daphne", "-b", "{host}", "-p", "{port}", "-v", "0", "{app}"),
}  # fmt: skip

PACKAGES = {
    "freelane": ("freelane", "granian"),
    "uvicorn": ("uvicorn", "uvloop", "httptools", "websockets"),
    "granian": ("granian", "uvloop"),
    "granian-rsgi": ("granian", "uvloop"),
    "hypercorn": ("hypercorn", "h11"),
    "gunicorn": ("gunicorn", "uvicorn-worker", "uvicorn", "uvloop", "httptools"),
    "daphne": ("daphne", "twisted"),
}


class ContenderFailed(FreelaneError):
    """A contender did not start, or ended; the message carries what it printed. The command exits with 3."""


@dataclass(frozen=True)
class Contender:
    """One side of a comparison: a command that serves on {host} and {port}, or the URL of what runs already."""

    name: str
    command: tuple[str, ...] = ()
    url: str | None = None
    python: str | None = None
    directory: Path = field(default_factory=Path.cwd)  # it is started there, and imports from there
    environment: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()  # whose versions belong in a report
    server: str | None = None  # a name of SERVERS

    def arguments(self, port: int) -> list[str]:
        """The command to run. Braces that are no field of ours are the command's own."""
        fields = {"{host}": HOST, "{port}": str(port), "{python}": self.python or sys.executable}
        return [re.sub(r"\{(?:host|port|python)\}", lambda found: fields[found[0]], word) for word in self.command]

    def shown(self) -> str:
        """The command as it can be typed, or the URL."""
        return self.url or shlex.join(self.arguments(8000))


def split_target(target: str, app_dir: str | Path | None = None) -> tuple[str, Path]:
    """``module:app`` or ``path/file.py:app`` as (module:app, the directory to import it from)."""
    base = Path(app_dir or ".").resolve()
    module, _, attribute = target.partition(":")
    attribute = attribute or "app"
    if not module.endswith(".py"):
        return f"{module}:{attribute}", base
    file = (base / module).resolve()
    if not file.is_file():
        raise ConfigError(f"no file '{module}'")
    top = file.parent
    while (top / "__init__.py").exists():
        top = top.parent
    return f"{'.'.join(file.relative_to(top).with_suffix('').parts)}:{attribute}", top


def parse(spec: str, app: str | None, app_dir: str | Path | None = None) -> Contender:
    """A contender as a command line names it.

    ``SERVER[@PYTHON] [module:app] [OPTION...]``, ``module:app [OPTION...]`` (freelane serves it),
    ``cmd:COMMAND with {port}``, or ``http://...`` of what runs already; ``NAME=`` before any of them.
    Raises ConfigError for what names none of these.
    """
    label = re.match(r"([\w.+-]+)=(?=.)", spec)
    rest = spec[label.end() :] if label else spec
    if re.match(r"https?://", rest):
        made = Contender(rest.rstrip("/"), url=rest.rstrip("/"))
    elif rest.startswith("cmd:"):
        made = _command(rest.removeprefix("cmd:"), app, app_dir)
    else:
        made = _server(rest, app, app_dir)
    return replace(made, name=label.group(1)) if label else made


def _command(text: str, app: str | None, app_dir: str | Path | None) -> Contender:
    words = _words(text)
    if not any("{port}" in word for word in words):
        raise ConfigError(f"'cmd:{text}' has no {{port}}: write the option that takes the port with {{port}} as its value")
    directory = Path(app_dir or ".").resolve()
    if any("{app}" in word for word in words):
        if app is None:
            raise ConfigError(f"'cmd:{text}' has {{app}}, and no app is named")
        target, directory = split_target(app, app_dir)
        words = [word.replace("{app}", target) for word in words]
    return Contender(Path(words[0]).name, tuple(words), directory=directory)


def _server(text: str, app: str | None, app_dir: str | Path | None) -> Contender:
    words = _words(text)
    name, _, python = words[0].partition("@")
    options = words[1:]
    if name in SERVERS:
        if options and _names_app(options[0]):
            app = options.pop(0)
    elif _names_app(words[0]):
        name, python, app = "freelane", "", words[0]
    else:
        raise ConfigError(
            f"'{text}' names no contender: write one of {', '.join(SERVERS)}, module:app, cmd:COMMAND with {{port}}, or a URL"
        )
    if app is None:
        raise ConfigError(f"'{text}' needs an app: write '{name} module:app'")
    if python and shutil.which(python) is None:
        raise ConfigError(f"'{text}': '{python}' is no program")
    target, directory = split_target(app, app_dir)
    command = [word.replace("{app}", target) for word in SERVERS[name]]
    # Absolute without resolving links: a venv's python is a link, and is the venv by its place.
    interpreter = os.path.abspath(shutil.which(python) or python) if python else sys.executable
    return Contender(
        text if text != words[0] or not python else f"{name} {Path(interpreter).name}",
        ("{python}", *command, *options),
        python=interpreter,
        directory=directory,
        packages=(*PACKAGES[name], *FRAMEWORKS),
        server=name,
    )


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise ConfigError(f"'{text}' cannot be read as a command: {exc}") from None
    if not words:
        raise ConfigError("a contender is empty")
    return words


def _names_app(word: str) -> bool:
    return re.fullmatch(r"[\w./\\-]+:[A-Za-z_][\w.]*", word) is not None and not word.startswith("-")


def name_apart(contenders: list[Contender]) -> list[Contender]:
    """Contenders whose names are all different: the second of a name is numbered."""
    seen: dict[str, int] = {}
    made = []
    for contender in contenders:
        seen[contender.name] = count = seen.get(contender.name, 0) + 1
        made.append(contender if count == 1 else replace(contender, name=f"{contender.name} ({count})"))
    return made
