"""What is asked: one request or WebSocket conversation, how a line names it, and what is filled in per contender."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urlsplit

from freelane.errors import ConfigError

Headers = tuple[tuple[str, str], ...]

METHOD = re.compile(r"[A-Z]+")
PLACEHOLDER = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")


@dataclass(frozen=True)
class Request:
    """One request; or, with ``messages``, a WebSocket conversation.

    ``path`` is what goes on the wire, with its query. ``messages`` are ``"> text"`` to send and
    ``"<"`` to await one. ``weight`` is the share among the requests under load; 0 is compared and
    never timed. ``{{name}}`` in path, headers, body and messages stands for a variable.
    """

    method: str = "GET"
    path: str = "/"
    headers: Headers = ()
    body: bytes = b""
    weight: float = 1.0
    name: str = ""
    messages: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        return self.name or f"{self.method} {self.path}"

    @property
    def websocket(self) -> bool:
        return self.messages is not None

    def with_header(self, name: str, value: str) -> Request:
        """Itself with a header, unless it brings one of that name."""
        if any(have.lower() == name.lower() for have, _ in self.headers):
            return self
        return replace(self, headers=(*self.headers, (name, value)))

    def filled(self, variables: Mapping[str, str]) -> Request:
        """Itself with its variables' values. Raises ConfigError for one that has none."""

        def fill(text: str) -> str:
            return PLACEHOLDER.sub(lambda found: self.value(found.group(1), variables), text)

        messages = None if self.messages is None else tuple(map(fill, self.messages))
        body = self.body
        if b"{{" in body:
            # Latin-1 carries any byte through and back.
            body = PLACEHOLDER.sub(
                lambda found: self.value(found.group(1), variables).encode().decode("latin-1"), body.decode("latin-1")
            ).encode("latin-1")
        headers = tuple((name, fill(value)) for name, value in self.headers)
        return replace(self, path=fill(self.path), headers=headers, body=body, messages=messages)

    def value(self, name: str, variables: Mapping[str, str]) -> str:
        if name not in variables:
            raise ConfigError(f"{self.label}: no variable '{name}'; give it with --variable {name}=VALUE")
        return variables[name]


def parse_line(line: str) -> Request:
    """``[WEIGHT] METHOD /path [Name: value]... [BODY]``, or ``WS /path > text < > text <``.

    Words are quoted as in a shell; a body is the last word, JSON unless a Content-Type says otherwise,
    or ``@file``. Raises ConfigError for a line that is none.
    """
    weight, rest = 1.0, line.strip()
    if weighed := re.match(r"(\d+(?:\.\d+)?)\s+(?=[A-Z]+\s)", rest):
        weight, rest = float(weighed.group(1)), rest[weighed.end() :]
    if rest.startswith("/"):
        rest = "GET " + rest
    if rest.startswith("WS "):
        return replace(conversation(rest), weight=0)
    method, _, rest = rest.partition(" ")
    path, rest = cut_word(rest.strip())
    if METHOD.fullmatch(method) is None or not path.startswith("/"):
        raise ConfigError(f"'{line.strip()}' is no request: write METHOD /path, such as GET /items?q=1")
    headers: list[tuple[str, str]] = []
    while found := re.match(r"""(?:"([\w-]+):\s*([^"]*)"|'([\w-]+):\s*([^']*)'|([\w-]+):\s*(\S+))(?:\s+|$)""", rest):
        groups = [group for group in found.groups() if group is not None]
        headers.append((groups[0], groups[1]))
        rest = rest[found.end() :]
    body = read_body(rest)
    return with_content_type(Request(method, on_the_wire(path), tuple(headers), body, weight))


def cut_word(text: str) -> tuple[str, str]:
    word, _, rest = text.partition(" ")
    return word, rest.strip()


def read_body(text: str) -> bytes:
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_bytes()
        except OSError as exc:
            raise ConfigError(f"cannot read the body '{text[1:]}': {exc.strerror}") from None
    if len(text) > 1 and text[0] == text[-1] == "'":
        text = shlex.split(text)[0]
    return text.encode()


def with_content_type(request: Request) -> Request:
    """JSON where the body is JSON and nothing else is said."""
    if not request.body:
        return request
    try:
        json.loads(request.body)
    except ValueError:
        kind = "application/x-www-form-urlencoded" if re.fullmatch(rb"[\w.%+-]+=\S*", request.body) else "text/plain"
        return request.with_header("Content-Type", kind)
    return request.with_header("Content-Type", "application/json")


def conversation(line: str) -> Request:
    _, _, rest = line.partition(" ")
    path, rest = cut_word(rest.strip())
    if not path.startswith("/"):
        raise ConfigError(f"'{line}' is no conversation: write WS /path > text <")
    steps = [step.strip() for step in re.split(r"\s+(?=[<>](?:\s|$))", " " + rest) if step.strip()]
    return Request("WS", on_the_wire(path), messages=complete(steps))


def complete(steps: Sequence[str]) -> tuple[str, ...]:
    """Where no answer is asked for at all, one is awaited after each message."""
    if any(step[:1] not in "<>" for step in steps):
        raise ConfigError(f"a conversation is made of '> text' and '<', not {steps!r}")
    if any(step.startswith("<") for step in steps):
        return tuple(steps)
    return tuple(step for message in steps for step in (message, "<"))


def on_the_wire(path: str) -> str:
    """A path as a request line may carry it: what is no visible ASCII is quoted, the rest stays."""
    return quote(path, safe="".join(map(chr, range(33, 127))))


def from_url(url: str) -> str:
    """The path and query of a URL."""
    parts = urlsplit(url)
    return on_the_wire((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def distinct(requests: Iterable[Request]) -> list[Request]:
    """Each request once, its weights added up; of several with one label the others are numbered."""
    weights: dict[Request, float] = {}
    for request in requests:
        key = replace(request, weight=0.0)
        weights[key] = weights.get(key, 0.0) + request.weight
    labels: dict[str, int] = {}
    made = []
    for request, weight in weights.items():
        labels[request.label] = count = labels.get(request.label, 0) + 1
        made.append(replace(request, weight=weight, name=f"{request.label} ({count})" if count > 1 else request.name))
    return made


def read_variables(pairs: Iterable[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"--variable '{pair}' must be NAME=VALUE")
        found[name] = value
    return found
