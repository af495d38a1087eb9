"""Requests to the FastAPI app. Most are made twice: of the `def` and of the ``async def`` endpoint."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence

from .case import Case, Header, ask, get, request, websocket
from .cases_http import FORM, JSON, MULTIPART, UUID
from .wire import Session

LANES = ("def", "async")
Rows = Iterable[tuple[str, str] | tuple[str, str, Sequence[Header]]]


def gets(subject: str, rows: Rows) -> list[Case]:
    """GETs below both lanes: (name, path) or (name, path, headers)."""
    made = []
    for name, path, *rest in rows:
        headers: Sequence[Header] = rest[0] if rest else ()
        made += [get(f"{subject} {name} ({lane})", f"/{lane}{path}", headers) for lane in LANES]
    return made


def posts(
    subject: str, rows: Iterable[tuple[str, str, object]], headers: Sequence[Header] = (JSON,), method: str = "POST"
) -> list[Case]:
    """Bodies to both lanes: (name, path, body); what is not bytes is sent as JSON."""
    made = []
    for name, path, body in rows:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        made += [ask(f"{subject} {name} ({lane})", method, f"/{lane}{path}", headers, data) for lane in LANES]
    return made


def noted(subject: str, rows: Iterable[tuple[str, str, int]]) -> list[Case]:
    """GETs of ``path/token``, then what the app noted, once it is that many lines."""
    made = []
    for name, path, lines in rows:
        for lane in LANES:

            def script(session: Session, path: str = path, lines: int = lines, lane: str = lane) -> None:
                target, _, query = path.partition("?")
                session.ask(request("GET", f"/{lane}{target}/{session.token}{'?' + query if query else ''}"))
                session.noted(lines)

            made.append(Case(f"{subject} {name} ({lane})", script))
    return made


def asks(subject: str, rows: Iterable[tuple[str, str, str]]) -> list[Case]:
    return [ask(f"{subject} {name} ({lane})", method, f"/{lane}{path}") for name, method, path in rows for lane in LANES]


def part(name: str, content: bytes, extra: bytes = b"") -> bytes:
    return b'--XX\r\nContent-Disposition: form-data; name="' + name.encode() + b'"' + extra + b"\r\n\r\n" + content + b"\r\n"


def file(name: str, filename: str, content: bytes, kind: bytes = b"text/plain") -> bytes:
    return part(name, content, b'; filename="' + filename.encode() + b'"\r\nContent-Type: ' + kind)


END = b"--XX--\r\n"
HUGE = "9" * 5000

PARAMETERS = [
    *gets(
        "path",
        [
            ("int", "/path/int/42"),
            ("int negative", "/path/int/-7"),
            ("int wrong", "/path/int/forty"),
            ("int float", "/path/int/4.2"),
            ("int huge", f"/path/int/{HUGE}"),
            ("int large", f"/path/int/{'9' * 40}"),
            ("int padded", "/path/int/%2042%20"),
            ("int underscores", "/path/int/1_000"),
            ("str", "/path/str/hello"),
            ("str quoted", "/path/str/%C5%BElu%C5%A5%20%2B%25"),
            ("str encoded slash", "/path/str/a%2Fb"),
            ("str not utf8", "/path/str/%FF%FE"),
            ("str NUL", "/path/str/%00"),
            ("str plus", "/path/str/a+b"),
            ("str semicolon", "/path/str/a;b=c"),
            ("str double quoting", "/path/str/%2525"),
            ("float", "/path/float/1e3"),
            ("float nan", "/path/float/nan"),
            ("bool", "/path/bool/yes"),
            ("bool wrong", "/path/bool/perhaps"),
            ("uuid", f"/path/uuid/{UUID}"),
            ("uuid wrong", "/path/uuid/6ba7"),
            ("date", "/path/date/2024-02-29"),
            ("date wrong", "/path/date/2023-02-29"),
            ("enum", "/path/enum/red"),
            ("enum wrong", "/path/enum/blue"),
            ("literal wrong", "/path/literal/c"),
            ("constrained", "/path/constrained/55"),
            ("constrained low", "/path/constrained/0"),
            ("constrained multiple", "/path/constrained/7"),
            ("pattern", "/path/pattern/abc"),
            ("pattern long", "/path/pattern/abcdef"),
            ("pattern wrong", "/path/pattern/AB"),
            ("rest", "/path/rest/a/b//c"),
            ("rest empty", "/path/rest/"),
            ("converted", "/path/converted/12"),
            ("converted wrong", "/path/converted/a"),
            ("two", "/path/two/1/and/2.5"),
            ("two wrong", "/path/two/a/and/b"),
            ("alias", "/path/alias/5"),
            ("alias wrong", "/path/alias/x"),
        ],
    ),
    *gets(
        "query",
        [
            ("required", "/query/required?value=5"),
            ("missing", "/query/required"),
            ("empty", "/query/required?value="),
            ("repeated", "/query/required?value=1&value=2"),
            ("repeated wrong last", "/query/required?value=1&value=x"),
            ("key without value", "/query/required?value"),
            ("huge", f"/query/required?value={HUGE}"),
            ("other case", "/query/required?Value=1"),
            ("defaults", "/query/default"),
            ("some defaults", "/query/default?limit=3&q=%C4%8D+x"),
            ("unknown", "/query/default?other=1"),
            ("two wrong", "/query/default?skip=a&limit=b"),
            ("annotated", "/query/annotated?q=fixed"),
            ("annotated absent", "/query/annotated"),
            ("annotated short", "/query/annotated?q=fi"),
            ("annotated pattern", "/query/annotated?q=xixed"),
            ("alias", "/query/styled?item-query=value"),
            ("alias by name", "/query/styled?q=value"),
            ("lists", "/query/lists?tags=a&tags=b&numbers=1&numbers=1&numbers=2&pair=1&pair=x"),
            ("lists absent", "/query/lists"),
            ("lists wrong", "/query/lists?numbers=a&numbers=2&numbers=b&pair=1"),
            ("lists empty item", "/query/lists?tags=&tags=b"),
            ("list required", "/query/required-list?tags=1&tags=2"),
            ("list missing", "/query/required-list"),
            ("list short", "/query/required-list?tags=1"),
            ("bool on", "/query/bool?flag=on"),
            ("bool 1", "/query/bool?flag=1"),
            ("bool wrong", "/query/bool?flag=2"),
            (
                "kinds",
                f"/query/kinds?day=2024-01-31&moment=2024-01-31T10:20:30.5%2B02:00&clock=10:20&span=P1DT2H&price=1.50"
                f"&colour=green&level=2&raw=%C4%8D&url=http://a.b/c&mail=a@example.com&identity={UUID}",
            ),
            (
                "kinds wrong",
                "/query/kinds?day=x&moment=x&clock=x&span=x&price=x&colour=x&level=x&url=x&mail=x&identity=x",
            ),
            ("kinds numbers", "/query/kinds?moment=1700000000&span=90&day=0"),
            ("json", "/query/json?value=[1,2]"),
            ("json wrong", "/query/json?value=[1,"),
            ("json wrong kind", '/query/json?value={"a":1}'.replace('"', "%22")),
            ("union int", "/query/union?value=5"),
            ("union bool", "/query/union?value=true"),
            ("union str", "/query/union?value=text"),
            ("validated", "/query/validated?number=4&word=ok"),
            ("validated raises", "/query/validated?number=3&word=no"),
            ("bounded", "/query/bounded?size=10.4"),
            ("bounded wrong", "/query/bounded?size=10.5&count=4&finite=inf"),
            ("bounded other side", "/query/bounded?size=0&count=0&finite=nan"),
            ("factory", "/query/factory"),
            ("many", "/query/many?a=1&b=2&see=3&d=x&e=2.5"),
            ("many missing", "/query/many?d=x"),
            ("odd separators", "/query/default?&&limit=4&=x&q=a=b&"),
            ("encoded key", "/query/default?%6Cimit=4"),
            ("semicolons", "/query/default?limit=4;q=x"),
            ("not utf8", "/query/default?q=%FF"),
            ("half escape", "/query/default?q=%C4%8&limit=%"),
        ],
    ),
    *gets(
        "header",
        [
            ("default", "/header/one"),
            ("given", "/header/one", [("User-Agent", "replay/1"), ("X-Number", "12")]),
            ("wrong", "/header/one", [("X-Number", "twelve")]),
            ("empty", "/header/one", [("X-Number", "")]),
            ("missing", "/header/required"),
            ("small", "/header/required", [("X-Token", "t"), ("X-Count", "1")]),
            ("underscored", "/header/underscores", [("strange_header", "value")]),
            ("not underscored", "/header/underscores", [("strange-header", "value")]),
            ("list", "/header/list", [("X-Tag", "a"), ("X-Tag", "b, c")]),
            ("list absent", "/header/list"),
            ("alias", "/header/alias", [("x-spelled-out", "yes")]),
            ("repeated scalar", "/header/one", [("X-Number", "1"), ("X-Number", "2")]),
        ],
    ),
    *gets(
        "cookie",
        [
            ("default", "/cookie/one"),
            ("given", "/cookie/one", [("Cookie", 'session="a b"; visits=3')]),
            ("wrong", "/cookie/one", [("Cookie", "visits=-1")]),
            ("repeated", "/cookie/one", [("Cookie", "session=a; session=b")]),
            ("two headers", "/cookie/one", [("Cookie", "session=a"), ("Cookie", "visits=2")]),
            ("malformed", "/cookie/one", [("Cookie", ";;=x; session; visits = 4 ")]),
            ("alias", "/cookie/required", [("Cookie", "ads=1")]),
            ("missing", "/cookie/required"),
        ],
    ),
    *gets(
        "model",
        [
            ("query", "/model/query?limit=5&order_by=updated_at&tags=a&tags=b"),
            ("query defaults", "/model/query"),
            ("query wrong", "/model/query?limit=0&order_by=x"),
            ("query forbidden", "/model/query?limit=1&extra=1"),
            ("query validator", "/model/query?tags=a&tags=b&tags=c"),
            ("query loose", "/model/loose?q=x&p=2&extra=1&extra=2"),
            ("query loose by name", "/model/loose?page=2"),
            ("header", "/model/header", [("Save-Data", "true"), ("X-Tag", "a"), ("X-Tag", "b")]),
            ("header wrong", "/model/header", [("Save-Data", "perhaps")]),
            ("cookie", "/model/cookie", [("Cookie", "session_id=a; tracker=4; other=1")]),
            ("cookie missing", "/model/cookie", [("Cookie", "tracker=x")]),
        ],
    ),
    *posts("all", [("kinds wrong", "/all/0?q=x", {"a": "x"})], (JSON, ("X-One", "x"), ("Cookie", "one=x"))),
    *posts("all", [("kinds missing", "/all/1", b"")], ()),
    *posts("all", [("kinds", "/all/1?q=2", {"a": 1})], (JSON, ("X-One", "3"), ("Cookie", "one=4"))),
]

ITEM = {"name": "thing", "price": 2.5, "tags": ["b", "a", "b"], "images": [{"url": "http://a.b/", "name": "i"}]}
USER = {"username": "u"}

BODIES = [
    *posts(
        "body",
        [
            ("model", "/body/model", ITEM),
            ("missing fields", "/body/model", {}),
            ("wrong fields", "/body/model", {"name": 1, "price": -1, "description": "x" * 21, "images": [{"url": "x"}]}),
            ("unknown fields", "/body/model", {**ITEM, "unknown": 1}),
            ("list for model", "/body/model", [ITEM]),
            ("null", "/body/model", None),
            ("string", "/body/model", "text"),
            ("malformed", "/body/model", b'{"name": "thing", }'),
            ("cut", "/body/model", b'{"name": "thi'),
            ("empty", "/body/model", b""),
            ("white space", "/body/model", b"   "),
            ("not utf8", "/body/model", b'{"name": "\xff"}'),
            ("utf16", "/body/model", json.dumps(ITEM).encode("utf-16")),
            ("byte order mark", "/body/model", b"\xef\xbb\xbf" + json.dumps(ITEM).encode()),
            ("NaN", "/body/model", b'{"name": "n", "price": NaN}'),
            ("huge number", "/body/model", b'{"name": "n", "price": 1' + b"0" * 400 + b"}"),
            ("duplicate keys", "/body/model", b'{"name": "a", "name": "b", "price": 1}'),
            ("unicode", "/body/model", '{"name": "žluť \\ud83d", "price": 1}'.encode()),
            ("deep", "/body/any", b"[" * 500 + b"]" * 500),
            ("deeper", "/body/any", b"[" * 100_000 + b"]" * 100_000),
            ("huge int", "/body/any", HUGE.encode()),
            ("large", "/body/dict", {str(i): i / 7 for i in range(5000)}),
            ("embedded", "/body/embedded", {"item": ITEM}),
            ("embedded missing", "/body/embedded", ITEM),
            ("embedded not object", "/body/embedded", [1]),
            ("several", "/body/several?q=x", {"item": ITEM, "user": USER, "importance": 5}),
            ("several missing", "/body/several", {"item": {}, "importance": 0}),
            ("several not object", "/body/several", "x"),
            ("several empty", "/body/several", b""),
            ("optional", "/body/optional", ITEM),
            ("optional empty", "/body/optional", b""),
            ("optional null", "/body/optional", None),
            ("scalar", "/body/scalar", 5),
            ("scalar wrong", "/body/scalar", "five"),
            ("default", "/body/default", b""),
            ("list", "/body/list", [ITEM, ITEM]),
            ("list wrong", "/body/list", [ITEM, {"name": "x"}, 3]),
            ("dict", "/body/dict", {"1": 2.5}),
            ("dict wrong", "/body/dict", {"a": "b"}),
            ("any", "/body/any", {"a": [1, None, 2.5, "x"]}),
            ("union first", "/body/union", ITEM),
            ("union second", "/body/union", USER),
            ("union none", "/body/union", {"x": 1}),
            ("discriminated", "/body/pet", {"kind": "dog", "breed": "b"}),
            ("discriminated wrong", "/body/pet", {"kind": "dog"}),
            ("discriminated unknown", "/body/pet", {"kind": "fish"}),
            ("discriminated absent", "/body/pet", {"lives": 1}),
            ("discriminated list", "/body/pets", [{"kind": "cat"}, {"kind": "dog"}]),
            ("discriminated empty", "/body/pets", []),
            ("strict", "/body/strict", {"count": "1", "extra": 1}),
            ("model validator", "/body/span", {"start": 2, "end": 1}),
            ("model validator right", "/body/span", {"start": 1, "end": 2}),
            ("kinds", "/body/kinds", {"moment": "2024-01-01T00:00:00Z", "amount": "1.10", "identity": UUID, "blob": "b"}),
            ("kinds wrong", "/body/kinds", {"moment": [], "amount": "x", "identity": 1, "blob": 3}),
            ("dataclass", "/body/dataclass", {"x": 1}),
            ("dataclass wrong", "/body/dataclass", {"y": "a"}),
            ("typed dict", "/body/typed-dict", {"a": 1}),
            ("typed dict wrong", "/body/typed-dict", {"b": 1}),
            ("loose with type", "/loose/model", ITEM),
        ],
    ),
    *posts("body", [("put", "/body/put/3?q=x", ITEM), ("put wrong", "/body/put/x", {})], method="PUT"),
    *posts("body", [("patch", "/body/put/3", ITEM)], method="PATCH"),
    *posts("body", [("without type", "/body/model", ITEM), ("loose without type", "/loose/model", ITEM)], ()),
    *posts("body", [("loose malformed", "/loose/dict", b"{"), ("bytes without type", "/body/bytes", b"raw")], ()),
    *posts("body", [("text type", "/body/model", ITEM), ("any text", "/body/any", b"x")], [("Content-Type", "text/plain")]),
    *posts("body", [("vendor type", "/body/model", ITEM)], [("Content-Type", "application/vnd.api+json; charset=utf-8")]),
    *posts("body", [("almost json", "/body/model", ITEM)], [("Content-Type", "application/jsonx")]),
    *posts("body", [("odd case", "/body/model", ITEM)], [("Content-Type", "Application/JSON")]),
    *posts("body", [("bad type", "/body/model", ITEM)], [("Content-Type", "json")]),
    *posts("body", [("form type", "/body/model", b"name=x&price=1")], [FORM]),
    *posts("body", [("bytes", "/body/bytes", b"raw \x00\xff")], [("Content-Type", "application/octet-stream")]),
    ask("body and request", "POST", "/async/body/and-request", [JSON], json.dumps(ITEM).encode()),
    ask("body stream read", "POST", "/async/inject/body", [JSON], b"x" * 100_000),
    *posts(
        "form",
        [
            ("fields", "/form/fields", b"name=a+b&age=20&tags=x&tags=y"),
            ("missing", "/form/fields", b""),
            ("wrong", "/form/fields", b"name=&age=17"),
            ("empty values", "/form/optional", b"name=&flag="),
            ("optional absent", "/form/optional", b""),
            ("quoted", "/form/fields", b"name=%C4%8D%00&age=18"),
            ("not utf8", "/form/fields", b"name=%FF"),
            ("model", "/form/model", b"username=u&password=secret&scopes=a&scopes=b"),
            ("model wrong", "/form/model", b"password=x&extra=1"),
            ("token", "/security/token", b"grant_type=password&username=u&password=p&scope=a+b&client_id=c"),
            ("token missing", "/security/token", b"username=u"),
            ("token wrong grant", "/security/token", b"grant_type=other&username=u&password=p"),
            ("token strict", "/security/token-strict", b"username=u&password=p"),
        ],
        [FORM],
    ),
    *posts("form", [("as json", "/form/fields", {"name": "a"})]),
    *posts("form", [("multipart", "/form/fields", part("name", b"a") + part("age", b"30") + END)], [MULTIPART]),
    *posts("form", [("without type", "/form/fields", b"name=a")], ()),
    *posts(
        "file",
        [
            ("bytes", "/file/bytes", file("data", "a.txt", b"\x00\xff") + END),
            ("bytes as field", "/file/bytes", part("data", b"field") + END),
            ("missing", "/file/bytes", END),
            ("upload", "/file/upload", file("file", "č.txt", b"content") + part("note", b"n") + END),
            ("upload big", "/file/upload", file("file", "big", b"b" * 70_000, b"application/x-b") + END),
            ("upload field", "/file/upload", part("file", b"not a file") + END),
            ("upload empty", "/file/upload", file("file", "", b"") + END),
            ("several", "/file/several", file("files", "a", b"a") + file("files", "b", b"b") + file("blobs", "c", b"cc") + END),
            ("several missing", "/file/several", file("blobs", "c", b"cc") + END),
            ("optional absent", "/file/optional", END),
            ("optional empty", "/file/optional", file("file", "", b"") + END),
            ("cut", "/file/upload", file("file", "a", b"content")[:-20]),
            ("no boundary in body", "/file/upload", b"nothing"),
        ],
        [MULTIPART],
    ),
    *posts("file", [("no boundary", "/file/upload", b"x")], [("Content-Type", "multipart/form-data")]),
    *posts("file", [("as form", "/file/upload", b"file=x")], [FORM]),
    ask("file awaited", "POST", "/async/file/awaited", [MULTIPART], file("file", "a", b"content") + END),
]

_BASIC = "Basic " + base64.b64encode("user:pass:č".encode()).decode()
DEPENDENCIES = [
    *gets(
        "depends",
        [
            ("common", "/depends/common?q=x&skip=1"),
            ("common wrong", "/depends/common?skip=x&limit=101"),
            ("async", "/depends/async?q=x"),
            ("class", "/depends/class?page=2&size=5"),
            ("class wrong", "/depends/class?page=x&size=0"),
            ("instance", "/depends/instance?q=ab"),
            ("cached", "/depends/cached"),
            ("uncached", "/depends/uncached"),
            ("listed", "/depends/listed", [("X-Key", "open")]),
            ("listed refused", "/depends/listed", [("X-Key", "shut")]),
            ("listed missing", "/depends/listed"),
            ("error order", "/depends/errors/x?skip=a&page=b&size=0"),
            ("deep", "/depends/deep?n1=10&n5=50&q=x"),
            ("deep wrong", "/depends/deep?n1=a&n3=b&limit=1000"),
            ("context", "/context/async?value=kept"),
            ("context default", "/context/async"),
        ],
    ),
    *noted(
        "yield",
        [
            ("order", "/yield/plain", 5),
            ("scopes", "/yield/scoped", 8),
            ("tasks", "/yield/tasks", 6),
            ("stream", "/yield/stream", 7),
            ("http exception", "/yield/http-exception", 6),
            ("handled", "/yield/handled", 6),
            ("unhandled", "/yield/unhandled", 6),
            ("swallowed", "/yield/swallowed", 1),
            ("translated", "/yield/translated", 1),
            ("fails after", "/yield/fails-after", 1),
            ("refused", "/yield/refused", 4),
            ("invalid", "/yield/invalid?number=x", 6),
            ("invalid response", "/yield/validation-of-response", 6),
        ],
    ),
    *noted(
        "tasks",
        [
            ("plain", "/tasks/plain", 3),
            ("of the response", "/tasks/response", 1),
            ("of a returned response", "/tasks/returned", 1),
            ("failing", "/tasks/failing", 1),
        ],
    ),
    *gets(
        "inject",
        [
            ("request", "/inject/request/5?a=1&b=2", [("X-Asked", "yes"), ("Cookie", "c=1")]),
            ("request wrong", "/inject/request/x"),
            ("connection", "/inject/connection"),
            ("response", "/inject/response"),
            ("response of dependency", "/inject/response-dependency"),
            ("response replaced", "/inject/response-replaced"),
        ],
    ),
    get("inject state", "/async/inject/state"),
    *gets(
        "security",
        [
            (name + suffix, path, headers)
            for name, path in [
                ("password", "/security/password"),
                ("optional", "/security/optional"),
                ("code", "/security/code"),
                ("basic", "/security/basic"),
                ("bearer", "/security/bearer"),
                ("bearer optional", "/security/bearer-optional"),
                ("digest", "/security/digest"),
                ("connect", "/security/connect"),
            ]
            for suffix, headers in [
                ("", ()),
                (" with bearer", [("Authorization", "Bearer abc")]),
                (" with basic", [("Authorization", _BASIC)]),
                (" with digest", [("Authorization", 'Digest username="u"')]),
                (" with nothing after", [("Authorization", "bearer")]),
            ]
        ],
    ),
    *gets(
        "security",
        [
            ("basic broken", "/security/basic", [("Authorization", "Basic ???")]),
            ("basic without colon", "/security/basic", [("Authorization", "Basic dXNlcg==")]),
            ("scopes", "/security/scopes", [("Authorization", "Bearer me-items")]),
            ("scopes lacking", "/security/scopes", [("Authorization", "Bearer me")]),
            ("scopes inactive", "/security/scopes", [("Authorization", "Bearer me-items-inactive")]),
            ("scopes without token", "/security/scopes"),
            ("key header", "/security/key-header", [("X-API-Key", "k")]),
            ("key header missing", "/security/key-header"),
            ("key query", "/security/key-query?api_key=k"),
            ("key query missing", "/security/key-query"),
            ("key cookie", "/security/key-cookie", [("Cookie", "api_cookie=k")]),
            ("key cookie missing", "/security/key-cookie"),
            ("key optional", "/security/key-optional"),
        ],
    ),
]

RESPONSES = [
    *gets(
        "response",
        [
            (path.strip("/").replace("/", " "), path)
            for path in (
                "/model/whole /model/annotated /model/include /model/exclude /model/unset /model/defaults /model/none "
                "/model/by-name /model/filtered /model/filtered-annotated /model/list /model/dict /model/union "
                "/model/scalar /model/optional /model/orm /model/orm-list /model/dataclass /model/serialized "
                "/model/invalid /model/off /encoded /encoded/any /encoded/impossible /none /class/html /class/text "
                "/class/redirect /class/redirect-status /class/file /class/spaced /class/spaced-model /class/json "
                "/class/bare /class/own /class/stream /class/stream-async /lines /events /status/201 /status/204 "
                "/status/304 /status/injected-204 /status/injected-304 /status/body-204 /raise/404 /raise/418 "
                "/raise/204 /raise/304 /raise/500 /raise/599 /fail"
            ).split()
        ],
    ),
    *asks(
        "response",
        [
            ("head of model", "HEAD", "/model/whole"),
            ("head own", "HEAD", "/methods/head"),
            ("head of get", "HEAD", "/methods/split"),
        ],
    ),
]

STRUCTURE = [
    get("root", "/"),
    get("docs", "/docs"),
    get("docs redirect", "/docs/oauth2-redirect"),
    get("redoc", "/redoc"),
    get("openapi", "/openapi.json"),
    ask("openapi head", "HEAD", "/openapi.json"),
    get("not found", "/nowhere"),
    get("not found deep", "/def/nowhere/at/all"),
    *gets(
        "routes",
        [
            ("first match", "/items/first"),
            ("second match", "/items/other"),
            ("shadowed", "/items/last"),
            ("get of both", "/methods/split"),
            ("slash", "/slash/"),
            ("slash missing", "/slash?a=1"),
            ("slash extra", "/noslash/"),
            ("double slash", "//noslash"),
            ("upper case", "/NOSLASH"),
            ("slow", "/slow"),
        ],
    ),
    *asks(
        "methods",
        [
            ("put", "PUT", "/methods"),
            ("delete", "DELETE", "/methods"),
            ("post refused", "POST", "/methods"),
            ("post of both", "POST", "/methods/split"),
            ("put refused by both", "PUT", "/methods/split"),
            ("options", "OPTIONS", "/methods/options"),
            ("options refused", "OPTIONS", "/methods"),
            ("trace refused", "TRACE", "/methods"),
            ("own method", "PURGE", "/methods"),
            ("post with slash", "POST", "/slash"),
        ],
    ),
    *[
        get(f"router {name} ({lane})", path.format(lane=lane), headers)
        for lane in LANES
        for name, path, headers in [
            ("route class", "/stamped/{lane}/5", ()),
            ("route class wrong", "/stamped/{lane}/x", ()),
            ("nested", "/nested/outer/t1/{lane}/text?outer=1", ()),
            ("nested missing", "/nested/outer/t1/{lane}/text", ()),
            ("twice nested", "/nested/outer/t1/inner/{lane}/value?outer=1&skip=2", [("X-Key", "open")]),
            ("twice nested wrong", "/nested/outer/t1/inner/{lane}/value?skip=x", ()),
            ("twice nested refused", "/nested/outer/t1/inner/{lane}/value?outer=1", [("X-Key", "no")]),
            ("included again", "/again/inner/{lane}/value?skip=2", [("X-Key", "open")]),
            ("empty path", "/again/inner/{lane}", [("X-Key", "open")]),
            ("empty path slash", "/again/inner/{lane}/", [("X-Key", "open")]),
            ("sub", "/sub/{lane}/value/3", ()),
            ("sub wrong", "/sub/{lane}/value/x", ()),
            ("sub wrong by default", "/sub/{lane}/value/x?default=1", ()),
            ("sub not found", "/sub/{lane}/nowhere", ()),
            ("sub handled", "/sub/{lane}/raise/counted", ()),
            ("sub http exception", "/sub/{lane}/raise/http", ()),
            ("sub crash", "/sub/{lane}/raise/other", ()),
        ]
    ],
    *[
        ask(f"router sub body {name} ({lane})", "POST", f"/sub/{lane}/item", [JSON], body)
        for lane in LANES
        for name, body in [("right", json.dumps(ITEM).encode()), ("wrong", b'{"name": 1}'), ("malformed", b"{")]
    ],
    *[
        ask(f"router sub body {name} ({lane})", "POST", f"/sub/{lane}{path}", [JSON], body)
        for lane in LANES
        for name, path, body in [
            ("read again", "/item?again=1", b'{"name": 1}'),
            ("malformed read again", "/item?again=1", b"{"),
            ("then raised", "/count", json.dumps(ITEM).encode()),
        ]
    ],
    get("sub docs", "/sub/docs"),
    get("sub openapi", "/sub/openapi.json"),
    get("sub without slash", "/sub"),
    get("plain no docs", "/plain/docs"),
    get("plain redoc", "/plain/documents"),
    get("plain schema", "/plain/schema.json"),
    get("plain no redirect", "/plain/noslash/"),
    get("frontend index", "/web/"),
    get("frontend file", "/web/style.css"),
    get("frontend api", "/web/api/value"),
    get("frontend missing", "/web/nothing"),
    get("static file", "/static/style.css"),
    get("static missing", "/static/nothing"),
    get("middleware stops", "/def/none", [("X-Stop", "1")]),
    get("cors simple", "/def/model/whole", [("Origin", "https://example.test")]),
    get("cors other origin", "/async/model/whole", [("Origin", "https://other.test")]),
    ask(
        "cors preflight",
        "OPTIONS",
        "/def/none",
        [("Origin", "https://example.test"), ("Access-Control-Request-Method", "POST")],
    ),
    get("gzip", "/openapi.json", [("Accept-Encoding", "gzip")]),
    ask("wrong host", "GET", "/def/none", host="elsewhere"),
]


def socket(name: str, path: str, send: str | None = None, notes: int = 0, headers: Sequence[Header] = ()) -> Case:
    def script(session: Session) -> None:
        connection = websocket(session, path.format(token=session.token), headers)
        if send is not None:
            connection.frame()
            connection.send_frame(1, send.encode())
            connection.frame()
        elif notes:
            connection.frame()
        connection.frame()
        if notes:
            session.noted(notes)

    return Case(name, script)


def refused(name: str, path: str) -> Case:
    def script(session: Session) -> None:
        websocket(session, path)

    return Case(name, script)


SOCKETS = [
    socket("ws talk", "/ws/5?token=t", "hello", headers=[("X-Name", "me")]),
    socket("ws yield", "/ws/yield/{token}", None, 5),
    refused("ws without token", "/ws/5"),
    refused("ws wrong room", "/ws/five?token=t"),
    refused("ws refused by handler", "/ws/refused/x"),
]


def one_after_another(session: Session) -> None:
    """Over one connection: nothing of a request may show in a later one."""
    connection = session.open()
    body = json.dumps(ITEM).encode()
    for data in (
        request("GET", "/def/depends/cached"),
        request("GET", "/def/depends/cached"),
        request("POST", "/def/body/model", [JSON], body),
        request("GET", "/async/inject/response"),
        request("GET", "/async/none"),
        request("POST", "/async/body/model", [JSON], b"{"),
        request("GET", "/def/query/required"),
        request("GET", "/def/yield/handled/one-connection-of-replay"),
        request("GET", "/async/query/required?value=1"),
    ):
        connection.send(data)
        connection.answer()


def pipelined(session: Session) -> None:
    connection = session.open()
    paths = ("/def/slow", "/async/none", "/def/none", "/async/query/required", "/def/model/whole")
    connection.send(b"".join(request("GET", path) for path in paths))
    for _ in paths:
        connection.answer()


CASES = [
    *PARAMETERS,
    *BODIES,
    *DEPENDENCIES,
    *RESPONSES,
    *STRUCTURE,
    *SOCKETS,
    Case("one after another", one_after_another),
    Case("pipelined", pipelined),
]
