"""What the way from one app to another is made of, each part by itself."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest

from freelane.bench.answer import Answer
from freelane.bench.differences import Rules
from freelane.errors import ConfigError
from freelane.migration import names, state_file
from freelane.migration.budget import LEAST, Budget
from freelane.migration.copies import Copier, Copy, differing
from freelane.migration.counters import Counters
from freelane.migration.labels import Labels
from freelane.migration.patterns import pattern, percent, share
from freelane.migration.plan import Moves, Plan, Rule, Start, Sticky
from freelane.migration.redact import HIDDEN, Redactor


@pytest.mark.parametrize(
    ("text", "method", "path", "fits"),
    [
        ("/v1/*", "GET", "/v1/a/b", True),
        ("/v1/*", "GET", "/v1", False),
        ("/v1/*", "GET", "/v10/a", False),
        ("/items/{id}", "PUT", "/items/7", True),
        ("/items/{id}", "GET", "/items/7/parts", False),
        ("/items/{id}", "GET", "/items/", False),
        ("GET,POST /a.b", "POST", "/a.b", True),
        ("GET,POST /a.b", "GET", "/axb", False),
        ("GET /a", "POST", "/a", False),
        ("*", "DELETE", "/\n", True),
    ],
)
def test_which_requests_a_pattern_fits(text: str, method: str, path: str, fits: bool) -> None:
    assert pattern(text).fits(method, path) is fits


@pytest.mark.parametrize("text", ["", "v1", "get /v1", "GET POST /v1", "GET /v1 x"])
def test_what_is_no_pattern_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="write '/v1/"):
        pattern(text)


@pytest.mark.parametrize("text", ["", "5", "-1%", "101%", "nan%", "x%"])
def test_what_is_no_share_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="write 0% to 100%"):
        share(text)


def test_shares_are_written_as_they_are_read() -> None:
    for text in ("0%", "0.1%", "5%", "33.3%", "100%"):
        assert percent(share(text)) == text


def scope(*headers: tuple[str, str], client: str | None = "10.0.0.1", query: str = "") -> dict[str, Any]:
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    return {"headers": pairs, "client": (client, 1) if client else None, "query_string": query.encode()}


@pytest.mark.parametrize("by", ["client", "header:X-User", "cookie:uid"])
def test_a_share_of_clients_is_that_share_and_they_stay(by: str) -> None:
    def client(number: int) -> dict[str, Any]:
        user = ("x-user", f"u{number}") if "header" in by else ("cookie", f"a=b; uid={number}")
        return scope(user, client=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    sticky, count, part = Sticky(by), 20_000, 0.05
    places = [sticky.place(client(number)) for number in range(count)]
    taken = sum(place < part for place in places)
    assert abs(taken - count * part) < 4 * math.sqrt(count * part * (1 - part))
    again = Sticky(by)
    assert [again.place(client(number)) for number in range(count)] == places


def test_a_client_that_nothing_tells_apart_is_by_chance() -> None:
    sticky = Sticky("cookie:uid")
    assert len({sticky.place(scope(client=None)) for _ in range(100)}) == 100
    assert len({sticky.place(scope(("cookie", "other=1"))) for _ in range(100)}) == 1  # by its address


@pytest.mark.parametrize("by", ["header", "header:", "client:x", "ip"])
def test_what_nobody_can_stick_to_is_said(by: str) -> None:
    with pytest.raises(ConfigError, match="client, header:NAME or cookie:NAME"):
        Sticky(by)


def test_the_first_rule_that_fits_decides_and_a_file_moves_it() -> None:
    start = Start((Rule(pattern("/v1/*"), "old", 1.0),), "main", "canary", 0.05)

    def shares(plan: Plan, path: str) -> tuple[str, float] | None:
        rule = plan.rule("GET", path)
        return None if rule is None else (rule.side, rule.share)

    plan = start.moved(Moves())
    assert shares(plan, "/v1/a") == ("old", 1.0) and shares(plan, "/x") == ("canary", 0.05)
    plan = start.moved(Moves(0.5, {"/v1/*": 0.0, "/x": 1.0}))
    assert shares(plan, "/v1/a") == ("old", 0.0)
    assert shares(plan, "/x") == ("canary", 1.0) and shares(plan, "/y") == ("canary", 0.5)
    with pytest.raises(ConfigError, match="--canary"):
        Start(start.rules, "main").moved(Moves(shares={"/x": 0.5}))
    assert shares(Start(start.rules, "main").moved(Moves(shares={"/v1/*": 0.5})), "/v1/a") == ("old", 0.5)


def test_a_side_that_fails_is_switched_off_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    time = 0.0
    budget = Budget("other", 10, 30, lambda: time)
    for _ in range(LEAST - 1):
        budget.note(True)
        assert budget.open()
    budget.note(True)
    assert budget.off and not budget.open()
    time = 31.0
    assert budget.open() and not budget.off
    for _ in range(3):
        budget.note(True)
    assert not budget.open()
    time = 31.0 + 59.0
    assert not budget.open()
    time = 31.0 + 61.0
    assert budget.open()
    for _ in range(200):
        budget.note(False)
    budget.note(True)
    assert budget.open()
    assert caplog.text.count("switched off") == 2 and caplog.text.count("tried again.") == 2


def test_a_side_may_fail_within_its_budget() -> None:
    budget = Budget("other", 10, 30)
    for number in range(1000):
        budget.note(number % 20 == 0)
        assert budget.open()


SECRETS = {
    "authorization": "Bearer s3cr3t-of-the-header",
    "cookie": "theme=dark-purple; sid=s3cr3t of the cookie",
}


def test_no_secret_is_in_what_is_shown() -> None:
    redactor = Redactor(["iban", "X-Tenant"])
    request = scope(*SECRETS.items(), ("x-tenant", "tenant-s3cr3t"), query="access_token=s3cr3t%2Fquery&q=1")
    body = json.dumps({"user": {"newPassword": 's3cr3t"body', "iban": "DE-s3cr3t"}, "pin": 4711}).encode()
    echo = {
        "seen": [
            SECRETS["authorization"],
            "s3cr3t-of-the-header",
            "s3cr3t of the cookie",
            "s3cr3t+of+the+cookie",
            "s3cr3t%2Fquery",
        ],
        "s3cr3t/query": "as a key",
        "note": 'it was s3cr3t"body and tenant-s3cr3t',
        "code": 4711,
        "client_secret": {"deep": ["s3cr3t-x"]},
        "quoted": json.dumps('s3cr3t"body'),
        "kept": "plain",
        "iban": None,
    }
    one = Answer(200, (("set-cookie", "sid=s3cr3t-new; Path=/"), ("x-note", "s3cr3t-new")), json.dumps(echo).encode())
    two = Answer(
        200, (("location", "/next?token=s3cr3t-location"),), b"<p>password: s3cr3t-html &amp; DE-s3cr3t s3cr3t-location</p>"
    )
    cover = redactor.cover(redactor.values(request, body, (one, two)))
    for answer in (one, two):
        shown = cover.answer(answer)
        text = repr(shown) + cover.text("body $.s3cr3t/query")
        assert "s3cr3t" not in text and "4711" not in text, text
        assert HIDDEN in text
    assert json.loads(cover.answer(one).body)["kept"] == "plain" and json.loads(cover.answer(one).body)["iban"] is None


def test_bytes_that_are_no_text_are_not_shown() -> None:
    body = b"\xff\xfe secret s3cr3t"
    shown = Redactor().cover(["s3cr3t"]).answer(Answer(200, (), body)).body
    assert b"s3cr3t" not in shown and str(len(body)).encode() in shown and body.hex(" ").encode() not in shown


def test_answers_differ_by_what_matters() -> None:
    headers = (("content-type", "application/json"), ("etag", "a"))
    one = Answer(200, headers, b'{"a": 1, "b": [1, {"c": 2}]}')
    assert differing(one, Answer(200, (*headers, ("date", "now"), ("server", "x")), b'{"b":[1,{"c":2}],"a":1}'), Rules()) == []
    other = Answer(200, (headers[0], ("etag", "b")), b'{"a": 1, "b": [1, {"c": 3}]}')
    assert sorted(differing(one, other, Rules())) == ["body $.b[1].c", "header etag"]
    assert differing(one, other, Rules(("header etag", "$.b"))) == []
    assert differing(one, Answer(201, headers, one.body), Rules()) == ["status"]


class Asked:
    """A side that answers when it is let."""

    def __init__(self) -> None:
        from freelane.migration.loop_thread import LoopThread

        self.name, self.budget, self.copier = "other", Budget("other", 10, 30), LoopThread("other")
        self.free = asyncio.Event()
        self.asked: list[str] = []

    async def ask(self, scope: Any, body: bytes) -> Answer:
        await self.free.wait()
        self.asked.append(scope["path"])
        return Answer(200, (), b"a")

    async def revive(self) -> None: ...


def test_copies_beyond_the_bound_are_dropped_and_no_route_takes_all_the_room() -> None:
    side, counters = Asked(), Counters()
    copier = Copier(side, counters, Redactor(), ignored=(), methods=(), limit=10, timeout=600)  # type: ignore[arg-type]
    side.copier.start()
    made = 0
    for route in ["GET /often"] * 50 + ["GET /rare"]:
        if copier.room(route):
            made += 1
            copier.offer(Copy(route, {"path": route, "headers": [], "query_string": b""}, b"", "main", Answer(200, (), b"a")))
    assert made == 6 and counters.snapshot()["GET /often"].copies["dropped"] == 45
    side.copier.loop.call_soon_threadsafe(side.free.set)
    ended = threading.Event()
    while copier.total and not ended.wait(0.01):
        pass
    assert {route: counts.copies["equal"] for route, counts in counters.snapshot().items()} == {"GET /often": 5, "GET /rare": 1}
    assert copier.bytes == 0 and copier.room("GET /often")
    assert asyncio.run(side.copier.close())


def test_routes_are_named_by_patterns_alone() -> None:
    labels = Labels([object()], [pattern("GET /v1/*"), pattern("/items/{id}")])
    assert labels.find("GET", "/v1/secret") == "GET /v1/*"
    assert labels.find("PUT", "/items/secret") == "PUT /items/{id}"
    assert labels.find("GET", "/secret") == "(no route)"


PROJECT = """# ours
[project]
name = "shop"   # kept
when = 2026-01-01

[tool.freelane.migration]  # the way
old = "old:app"
paths = [
  "/v2/*",  # first
]

[tool.other]
x = 1
"""


def test_only_lines_of_ours_change_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(PROJECT)
    path.chmod(0o600)
    assert state_file.choose(None, tmp_path) == path

    def change(table: dict[str, Any]) -> None:
        table["share"] = "10%"
        table["shares"] = {"GET /items/{id}": "50%", '/é"x': "1%"}
        table["progress"] = {"updated": "now", "GET /a": {"copies equal": 3}}

    state_file.update(path, change)
    made = path.read_text()
    table = tomllib.loads(made)["tool"]["freelane"]["migration"]
    assert table["paths"] == ["/v2/*"] and table["share"] == "10%" and table["progress"]["GET /a"] == {"copies equal": 3}
    assert table["shares"] == {"GET /items/{id}": "50%", '/é"x': "1%"}
    assert made.startswith(PROJECT.replace("the way\n", 'the way\nshare = "10%"\n').rstrip())
    assert path.stat().st_mode & 0o777 == 0o600

    def back(table: dict[str, Any]) -> None:
        for name in ("share", "shares", "progress"):
            del table[name]

    state_file.update(path, back)
    assert path.read_text().strip() == PROJECT.strip()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "text",
    ["", "[tool.other]\nx = 1\n", "[tool.freelane.migration.shares]\n'/a' = '1%'\n", '[tool.freelane.migration]\nshare="1%"'],
)
def test_a_share_is_set_whatever_is_there(tmp_path: Path, text: str) -> None:
    path = tmp_path / "way.toml"
    path.write_text(text)
    state_file.update(path, lambda table: table.update(share="7%", progress={"a": {"b": 1}}))
    state_file.update(path, lambda table: table.update(share="8%", progress={"a": {"b": 2}}))
    assert state_file.moves_of(state_file.read(path)).share == 0.08
    assert state_file.read(path)["progress"] == {"a": {"b": 2}}
    kept = tomllib.loads(text) if text else {}
    assert tomllib.loads(path.read_text())["tool"].get("other") == kept.get("tool", {}).get("other")


def test_what_cannot_be_changed_stays_and_is_said(tmp_path: Path) -> None:
    def change(table: dict[str, Any]) -> None:
        table["share"] = "7%"

    path = tmp_path / "way.toml"
    text = "tool.freelane.migration.share = '5%'\n"
    path.write_text(text)
    with pytest.raises(ConfigError, match="by hand"):
        state_file.update(path, change)
    assert path.read_text() == text
    path.write_text("[tool.freelane.migration]\nshares = 3\n")
    with pytest.raises(ConfigError, match="must be a dict"):
        state_file.read(path)
    path.write_text("[tool.freelane.migration]\nshade = 'on'\n")
    with pytest.raises(ConfigError, match="has no 'shade'"):
        state_file.read(path)


def test_many_processes_write_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "way.toml"

    def add(table: dict[str, Any]) -> None:
        place = table.setdefault("progress", {}).setdefault("GET /", {})
        place["n"] = place.get("n", 0) + 1

    def work() -> None:
        for _ in range(10):
            state_file.update(path, add)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state_file.read(path)["progress"] == {"GET /": {"n": 40}}


def test_how_sides_are_named() -> None:
    assert names.parse("old.main:app").app == "old.main:app"
    assert names.parse("src/old.py:make.app").app == "src/old.py:make.app"
    url = names.parse("https://user:s3cr3t@host:8443/v1/")
    assert url.text == "https://host:8443/v1" and url.contender is not None
    for text in ("old", "ftp://host", "http://", "http://host/?a=b", "old:app@/nowhere/python"):
        with pytest.raises(ConfigError):
            names.parse(text)


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"shadow": "nothing"}, "write module:app, module:app@PYTHON or a URL"),
        ({"shadow": "new:app"}, "is the app that is served"),
        ({"canary": "5%"}, "write --canary '5% module:app'"),
        ({"canary": "500% other:app"}, "write 0% to 100%"),
        ({"canary": "5% new:app"}, "is the app that is served"),
        ({"route": ["/v1"]}, "write '/v1/\\*=old:app'"),
        ({"strangle": True}, "with old = 'module:app'"),
        ({"canary": "5% other:app", "canary_by": "ip"}, "--canary-by must be one of"),
        ({"shadow": "other:app", "gil": ["/who"]}, "would go past the other app"),
        ({"shadow": "other:app", "factory": True, "loops": 2}, "use --workers"),
    ],
)
def test_what_cannot_be_is_said_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], cure: str
) -> None:
    from freelane.migration import build
    from freelane.settings import resolve

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "load", lambda *names, **more: app)
    with pytest.raises(ConfigError, match=cure):
        build.front(lambda: app, resolve(options, {}), "new:app")


async def app(scope: Any, receive: Any, send: Any) -> None: ...
