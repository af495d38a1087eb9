"""What goes before the questions to each contender: data, and log-in, whose token the requests carry."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from freelane.bench.answer import Answer
from freelane.bench.client import ask
from freelane.bench.contenders import ContenderFailed
from freelane.bench.processes import Running
from freelane.bench.requests import Request
from freelane.errors import ConfigError

SETUP_SECONDS = 120
TOKEN_NAMES = ("access_token", "token", "id_token", "jwt", "auth_token", "key")

Setup = Callable[[str], Mapping[str, object] | None]


@dataclass(frozen=True)
class Plan:
    """What every contender is asked, and what is done before; ``token`` is where the log-in's answer has it."""

    requests: tuple[Request, ...]
    login: Request | None = None
    token: str | None = None  # $.path of JSON, or header NAME
    setup: str | Setup | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def prepare(self, running: Running) -> list[Request]:
        """Set up data, log in, and fill in the requests. Raises ContenderFailed where that does not work here."""
        variables = {**self.variables, **run_setup(self.setup, running)}
        headers: list[tuple[str, str]] = []
        if self.login is not None:
            answer = ask(running, self.login.filled(variables))
            headers, variables["token"] = self.credentials(running, answer)
        made = []
        for request in self.requests:
            for name, value in headers:
                request = request.with_header(name, value)
            made.append(request.filled(variables))
        return made

    def credentials(self, running: Running, answer: Answer) -> tuple[list[tuple[str, str]], str]:
        """The headers that a log-in's answer gives the other requests, and the token itself."""
        name = running.contender.name
        assert self.login is not None
        if answer.failed:
            raise ContenderFailed(
                f"{name}: the log-in {self.login.label} was answered {answer.problem or answer.status}: {answer.body[:300]!r}"
            )
        cookies = [value.partition(";")[0] for value in answer.values("set-cookie")]
        if token := find_token(answer, self.token):
            headers = [("Authorization", f"Bearer {token}")]
        elif cookies and self.token is None:
            headers, token = [], ""
        else:
            where = self.token or f"one of {', '.join(TOKEN_NAMES)} in JSON, or a cookie"
            raise ContenderFailed(f"{name}: the log-in {self.login.label} gave no token ({where}); say where with --token")
        return headers + ([("Cookie", "; ".join(cookies))] if cookies else []), token


def find_token(answer: Answer, where: str | None) -> str:
    if where is not None and not where.startswith("$"):
        values = answer.values(where.removeprefix("header").strip(" :").lower())
        return values[0].removeprefix("Bearer ") if values else ""
    try:
        value = json.loads(answer.body)
    except ValueError:
        return ""
    if where is not None:
        for key in re.findall(r"[\w-]+", where):
            value = value[int(key)] if isinstance(value, list) and key.isdigit() else take(value, key)
        return value if isinstance(value, str) else ""
    found = [take(value, key) for key in TOKEN_NAMES]
    return next((item for item in found if isinstance(item, str)), "")


def take(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def run_setup(setup: str | Setup | None, running: Running) -> dict[str, str]:
    """Call the hook with the contender's URL; the variables that it returns, or prints as one JSON object."""
    if setup is None:
        return {}
    name = running.contender.name
    if isinstance(setup, str) and setup.startswith("cmd:"):
        command = setup.removeprefix("cmd:").replace("{url}", running.url)
        try:
            done = subprocess.run(
                command, shell=True, capture_output=True, text=True, timeout=SETUP_SECONDS, cwd=running.contender.directory
            )
        except subprocess.TimeoutExpired:
            raise ContenderFailed(f"{name}: the set-up command did not end within {SETUP_SECONDS} s") from None
        if done.returncode:
            printed = (done.stdout + done.stderr).strip()
            raise ContenderFailed(f"{name}: the set-up command ended with {done.returncode}:\n{printed}")
        try:
            found = json.loads(done.stdout)
        except ValueError:
            found = None
    else:
        hook = resolve(setup, str(running.contender.directory)) if isinstance(setup, str) else setup
        try:
            found = hook(running.url)
        except Exception as exc:
            raise ContenderFailed(f"{name}: the set-up hook raised {type(exc).__name__}: {exc}") from exc
    return {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def resolve(target: str, directory: str) -> Setup:
    module, colon, attribute = target.partition(":")
    if not colon:
        raise ConfigError(f"--setup '{target}' must be module:function or cmd:COMMAND")
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        hook: Setup = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"--setup '{target}' cannot be imported: {exc}") from None
    return hook


def to_time(requests: Sequence[Request], failing: Mapping[str, str]) -> list[Request]:
    """The requests that load is made of: no conversations, nothing of weight 0, nothing that answers with an error."""
    return [item for item in requests if item.weight > 0 and not item.websocket and item.label not in failing]
