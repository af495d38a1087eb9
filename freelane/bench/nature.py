"""What differs by nature: learned by asking one contender twice, at each place of an answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from freelane.bench.answer import Answer

WORDS = re.compile(r"([\w-]+)")
# The server's own, on this connection only (RFC 9110, 7.6.1 and 10.2.4; RFC 9112, 6).
OF_THE_SERVER = frozenset(
    {"date", "server", "connection", "keep-alive", "transfer-encoding", "upgrade", "sec-websocket-accept", "via",
     "sec-websocket-extensions", "proxy-connection"}
)  # fmt: skip

Places = dict[str, str]
MISSING = "(absent)"


def places(answer: Answer, strict: bool = False) -> Places:
    """An answer as text at each place: ``status``, ``header NAME``, ``body`` or ``body $.path`` of JSON.

    With ``strict`` JSON is text like any other.
    """
    if answer.problem is not None:
        return {"answer": answer.problem}
    found: Places = {"status": str(answer.status)}
    for name, value in answer.headers:
        if name in OF_THE_SERVER or name == "content-length" and value in (str(len(answer.body)), "0"):
            continue  # the length says what the body says
        place, number = f"header {name}", 2
        while place in found:
            place, number = f"header {name} ({number})", number + 1
        found[place] = value
    if answer.messages is not None:
        for number, message in enumerate(answer.messages, 1):
            kind, _, text = message.partition(" ")
            said: Any = NOT_JSON if strict or kind != "text" else parsed(text)
            if said is NOT_JSON:
                found[f"message {number}"] = message
            else:
                spread(said, f"message {number} $", found)
        return found
    whole: Any = NOT_JSON if strict else parsed(answer.body)
    if whole is NOT_JSON:
        found["body"] = text_of(answer.body)
    else:
        spread(whole, "body $", found)
    return found


NOT_JSON = object()


def parsed(body: bytes | str) -> Any:
    """JSON objects and arrays; anything else is compared as text."""
    if body[:1] not in (b"{", b"[", "{", "["):
        return NOT_JSON
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return NOT_JSON


def spread(value: Any, place: str, found: Places) -> None:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            spread(item, f"{place}.{key}" if re.fullmatch(r"[\w-]+", key) else f"{place}[{json.dumps(key)}]", found)
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            spread(item, f"{place}[{number}]", found)
    else:
        # As JSON: 1 is not 1.0, and neither is "1".
        found[place] = json.dumps(value, ensure_ascii=False)


def text_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.hex(" ")


@dataclass(frozen=True)
class Template:
    """A text whose words may vary: None for a word that does; ``words`` of None for a text that does as a whole."""

    words: tuple[str | None, ...] | None

    def fits(self, text: str) -> bool:
        if self.words is None:
            return True
        words = WORDS.split(text)
        return len(words) == len(self.words) and all(want is None or want == have for want, have in zip(self.words, words))

    def widened(self, text: str) -> Template:
        """The template that fits this text too."""
        words = WORDS.split(text)
        if self.words is None or len(words) != len(self.words):
            return Template(None)
        # Between the words is what a template keeps: where that varies, everything does.
        if any(want != have for want, have in zip(self.words[::2], words[::2])):
            return Template(None)
        return Template(tuple(want if want == have else None for want, have in zip(self.words, words)))

    @property
    def varies(self) -> bool:
        return self.words is None or None in self.words


class Nature:
    """What one contender's answers to one request have in common, place by place."""

    def __init__(self, answer: Answer, strict: bool = False) -> None:
        self.first = answer
        self.strict = strict
        self.templates = {place: Template(tuple(WORDS.split(text))) for place, text in places(answer, strict).items()}
        self.comes_and_goes: set[str] = set()

    def learn(self, answer: Answer) -> None:
        """Widen to what another answer of the same contender shows."""
        found = places(answer, self.strict)
        self.comes_and_goes |= self.templates.keys() ^ found.keys()
        for place, text in found.items():
            known = self.templates.get(place)
            self.templates[place] = known.widened(text) if known else Template(None)

    @property
    def varying(self) -> list[str]:
        """The places that differ by nature."""
        return [place for place, template in self.templates.items() if template.varies or place in self.comes_and_goes]

    def differing(self, answer: Answer) -> list[str]:
        """The places where an answer is not what this contender would give."""
        found = places(answer, self.strict)
        wrong = [place for place, text in found.items() if place not in self.templates or not self.templates[place].fits(text)]
        wrong += [place for place in self.templates if place not in found and place not in self.comes_and_goes]
        return wrong

    def writing(self, answer: Answer) -> str | None:
        """How another answer writes the same JSON (RFC 8259, 4: objects have no order); None where it does not."""
        left, right = parsed(self.first.body), parsed(answer.body)
        if left is NOT_JSON or right is NOT_JSON or self.first.body == answer.body:
            return None
        if sorted(leaves(left)) == sorted(leaves(right)) and leaves(left) != leaves(right):
            return "order of JSON keys"
        return "spaces or escapes in JSON" if json.dumps(left) == json.dumps(right) else None


def leaves(value: Any) -> list[str]:
    found: Places = {}
    spread(value, "$", found)
    return list(found)
