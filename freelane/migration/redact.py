"""What is never written: secrets, by the name of where they stand, and their values wherever else they turn up."""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus

from freelane.bench.answer import Answer
from freelane.bench.nature import NOT_JSON, parsed

HIDDEN = "(redacted)"
# As ``key`` writes them; what ends so is one as well: new_password, x-csrf-token.
NAMES = frozenset({
    "authorization", "proxyauthorization", "cookie", "setcookie", "password", "passwd", "passphrase", "secret", "token",
    "apikey", "xapikey", "privatekey", "session", "sessionid", "credentials", "signature", "otp", "cvv", "cvc", "pin",
})  # fmt: skip
ENDINGS = ("authorization", "password", "passphrase", "secret", "token", "apikey", "privatekey", "sessionid")
# A shorter value is hidden where it stands only: it would be found everywhere.
SHORTEST = 3

NAMED = re.compile(r"""([\w.-]+)(["']?\s*[=:]\s*["']?)([^\s"'&;,<>]+)""")
PART = re.compile(rb'name="([^"]*)"[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n(.*?)\r\n--', re.DOTALL)


def key(name: str) -> str:
    """A name without what spellings differ in: ``Access-Token``, ``accessToken`` and ``access_token`` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


class Redactor:
    """Knows the names. Immutable; any thread may ask."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = NAMES | {key(name) for name in names}

    def secret(self, name: str) -> bool:
        made = key(name)
        return made in self.names or made.endswith(ENDINGS)

    def values(self, scope: Any, body: bytes, answers: Iterable[Answer]) -> set[str]:
        """The secrets of one exchange: the request's, and what the answers tell under a secret's name."""
        found: set[str] = set()
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        for each in (headers, *(answer.headers for answer in answers)):
            for name, value in each:
                found |= parts_of(name, value) if self.secret(name) else self.named(value)
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        kind = next((value for name, value in headers if name == "content-type"), "")
        if "x-www-form-urlencoded" in kind:
            pairs += parse_qsl(body.decode("latin-1"), keep_blank_values=True)
        pairs += [(name.decode("latin-1"), value.decode(errors="replace")) for name, value in PART.findall(body)]
        found |= {value for name, value in pairs if self.secret(name)}
        for text in (body, *(answer.body for answer in answers)):
            if (value := parsed(text)) is not NOT_JSON:
                found |= set(self.leaves(value))
            if (decoded := text_of(text)) is not None:
                found |= self.named(decoded)
        return {value for value in found if len(value) >= SHORTEST}

    def named(self, text: str) -> set[str]:
        """What a text says of a secret by its name: ``token=...``, as in a URL."""
        return {match[3] for match in NAMED.finditer(text) if self.secret(match[1])}

    def leaves(self, value: Any, secret: bool = False) -> Iterator[str]:
        """What stands in JSON under a secret's name."""
        if isinstance(value, dict):
            for name, item in value.items():
                yield from self.leaves(item, secret or self.secret(name))
        elif isinstance(value, list):
            for item in value:
                yield from self.leaves(item, secret)
        elif secret and value is not None and not isinstance(value, bool):
            yield value if isinstance(value, str) else json.dumps(value)

    def cover(self, values: Iterable[str]) -> Cover:
        return Cover(self, values)


class Cover:
    """Hides the values of one exchange."""

    def __init__(self, redactor: Redactor, values: Iterable[str]) -> None:
        self.redactor = redactor
        forms = {form for value in values for form in spellings(value)}
        longest_first = sorted(forms, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def text(self, text: str) -> str:
        def hide(match: re.Match[str]) -> str:
            return f"{match[1]}{match[2]}{HIDDEN}" if self.redactor.secret(match[1]) else match[0]

        text = NAMED.sub(hide, text)
        return text if self.pattern is None else self.pattern.sub(HIDDEN, text)

    def answer(self, answer: Answer) -> Answer:
        """What may be shown of an answer."""
        secret = self.redactor.secret
        headers = tuple((name, HIDDEN if secret(name) else self.text(value)) for name, value in answer.headers)
        problem = None if answer.problem is None else self.text(answer.problem)
        return replace(answer, headers=headers, body=self.body(answer.body), problem=problem)

    def body(self, body: bytes) -> bytes:
        if (value := parsed(body)) is not NOT_JSON:
            return json.dumps(self.json(value), ensure_ascii=False).encode(errors="replace")
        decoded = text_of(body)
        if decoded is None:  # compressed, or an image: nobody can say what is in it
            return f"({len(body)} bytes that are no text, SHA-256 {hashlib.sha256(body).hexdigest()[:16]})".encode()
        return self.text(decoded).encode(errors="replace")

    def json(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                self.text(name): HIDDEN if self.redactor.secret(name) and item is not None else self.json(item)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [self.json(item) for item in value]
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and self.text(json.dumps(value)) != json.dumps(value):
            return HIDDEN
        return value


def text_of(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def parts_of(name: str, value: str) -> set[str]:
    """A secret header's value, and what in it is the secret: after a scheme, in Basic, of each cookie."""
    if key(name) in ("cookie", "setcookie"):
        pairs = value.split(";") if key(name) == "cookie" else [value.partition(";")[0]]
        return {pair.partition("=")[2].strip().strip('"') for pair in pairs}
    scheme, _, rest = value.strip().partition(" ")
    found = {value.strip(), rest.strip()} if rest else {value.strip()}
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(rest.strip(), validate=False).decode().partition(":")
            found |= {password, f"{user}:{password}"}
        except (binascii.Error, UnicodeDecodeError):
            pass
    return found


def spellings(value: str) -> set[str]:
    """How a value may be written in what quotes it."""
    encoded = value.encode(errors="replace")
    made = {value, quote(value, safe=""), quote(value), quote_plus(value), html.escape(value), json.dumps(value)[1:-1]}
    return made | {encoded.hex(), base64.b64encode(encoded).decode().rstrip("=")}
