"""What a command line calls a side: an app, a URL, or an app in a process of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from freelane.bench import contenders, processes
from freelane.bench.contenders import SERVERS, Contender, ContenderFailed
from freelane.errors import ConfigError

APP = re.compile(r"(?P<app>[^\s@]+:[A-Za-z_][\w.]*)(?:@(?P<python>\S+))?\Z")
# What may serve an app in its own process, the first that its interpreter has.
PREFERRED = ("uvicorn", "freelane", "granian", "hypercorn")
# A freelane there takes the app as it is, whatever this one was told.
PLAIN = {
    "FREELANE_SHADOW": "", "FREELANE_CANARY": "", "FREELANE_ROUTE": "", "FREELANE_STRANGLE": "", "FREELANE_RELOAD": "",
    "FREELANE_METRICS_PORT": "0", "NOTIFY_SOCKET": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Name:
    """A side by its name: ``app`` is one of this process, else ``contender`` says what is asked, or started."""

    text: str
    app: str | None = None
    contender: Contender | None = None


def parse(text: str, app_dir: str | None = None) -> Name:
    """``module:app``, ``module:app@PYTHON``, ``http://...``, or as ``freelane bench`` names a contender. Raises ConfigError."""
    text = text.strip()
    if (found := APP.match(text)) is not None and not text.startswith(("cmd:", "http:", "https:")):
        if found["python"] is None:
            return Name(text, app=found["app"])
        return Name(found["app"], contender=plain(with_server(found["app"], found["python"], app_dir)))
    try:
        contender = contenders.parse(text, None, app_dir)
    except ConfigError as exc:
        raise ConfigError(f"'{text}' is no side: write module:app, module:app@PYTHON or a URL ({exc})") from None
    if contender.url is not None:
        parts = urlsplit(contender.url)
        if not parts.hostname or parts.query or parts.fragment:
            raise ConfigError(f"'{text}' is no side: a URL is http://host:port, and may have a path")
        # Credentials of a URL are for nobody's eyes.
        return Name(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), contender=contender)
    return Name(contender.name, contender=plain(contender))


def with_server(app: str, python: str, app_dir: str | None) -> Contender:
    """The app under what its interpreter has to serve it."""
    asked = contenders.parse(f"uvicorn@{python} {app}", None, app_dir)
    try:
        found: dict[str, Any] = processes.versions(replace(asked, packages=PREFERRED))
    except ContenderFailed as exc:
        raise ConfigError(str(exc)) from None
    server = next((name for name in PREFERRED if name in found), None)
    if server is None:
        raise ConfigError(f"'{python}' has no server for {app}: {python} -m pip install uvicorn")
    return asked if server == "uvicorn" else contenders.parse(f"{server}@{python} {app}", None, app_dir)


def plain(contender: Contender) -> Contender:
    return replace(contender, environment={**contender.environment, **PLAIN}) if contender.server in SERVERS else contender
