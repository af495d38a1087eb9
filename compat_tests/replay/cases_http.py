"""Requests whose answers the app decides: methods, paths, headers, bodies, middleware."""

from __future__ import annotations

from .case import Case, ask, get, request
from .wire import Session

FORM = ("Content-Type", "application/x-www-form-urlencoded")
JSON = ("Content-Type", "application/json")
MULTIPART = ("Content-Type", "multipart/form-data; boundary=XX")
_PARTS = (
    b'--XX\r\nContent-Disposition: form-data; name="field"\r\n\r\nvalue\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a \xc4\x8d.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n\x00\x01\xff\r\n\r\n--XX--\r\n"
)
UUID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


def conditional(name: str, path: str, header: str, of: str) -> Case:
    """Asks once, then again with ``header`` set to the first answer's ``of``."""

    def script(session: Session) -> None:
        first = session.ask(request("GET", path))
        value = first.values(of)[0] if first and first.values(of) else b"none"
        session.ask(request("GET", path, [(header, value)]))

    return Case(name, script)


def session_cookie(name: str, prefix: str) -> Case:
    def script(session: Session) -> None:
        first = session.ask(request("GET", f"{prefix}/set"))
        cookies = first.values("set-cookie") if first else []
        session.ask(request("GET", f"{prefix}/get", [("Cookie", value.split(b";")[0]) for value in cookies]))
        session.ask(request("GET", f"{prefix}/get", [("Cookie", "session=forged")]))

    return Case(name, script)


def background(name: str, path: str, notes: int) -> Case:
    def script(session: Session) -> None:
        session.ask(request("GET", f"{path}/{session.token}"))
        session.noted(notes)

    return Case(name, script)


def twice(name: str, path: str) -> Case:
    """The same request again: nothing of the first may show in the second."""

    def script(session: Session) -> None:
        session.ask(request("GET", path))
        session.ask(request("GET", path))

    return Case(name, script)


RESPONSES = [
    get("json", "/json"),
    get("text", "/text"),
    get("html", "/html"),
    get("empty", "/empty"),
    get("bare bytes", "/bare"),
    *(get(f"status {code}", f"/status/{code}") for code in (200, 201, 202, 204, 206, 299, 304, 404, 418, 503, 599)),
    get("large response", "/large"),
    get("redirect", "/redirect"),
    get("stream async", "/stream/async"),
    get("stream sync", "/stream/sync"),
    get("stream sized", "/stream/sized"),
    get("stream empty", "/stream/empty"),
    get("stream large", "/stream/large"),
    get("duplicate response headers", "/duplicate-headers"),
    get("odd response headers", "/odd-headers"),
    get("error", "/error"),
    get("http error", "/http-error/401"),
    get("http error 404", "/http-error/404"),
    get("http error 204", "/http-error/204"),
    get("error handler", "/custom-error"),
    get("failure in a chunked response", "/broken/chunked"),
    get("failure in a sized response", "/broken/sized"),
    get("no response", "/no-response"),
    get("response without end", "/start-only"),
    get("response without headers", "/no-headers"),
    background("background tasks", "/background", 2),
    background("background task of def", "/background-def", 1),
]

METHODS = [
    *(ask(f"method {m}", m, "/any") for m in ("GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "PURGE")),
    *(ask(f"method {m} with body", m, "/any", body=b"data") for m in ("POST", "PUT", "PATCH", "DELETE", "GET")),
    ask("method unknown", "FROBNICATE", "/any"),
    ask("method lower case", "get", "/any"),
    ask("method not allowed", "DELETE", "/get-only"),
    ask("class get", "GET", "/class"),
    ask("class def post", "POST", "/class", body=b""),
    ask("class not allowed", "PUT", "/class", body=b""),
    ask("HEAD of GET route", "HEAD", "/get-only"),
    ask("HEAD of json", "HEAD", "/json"),
    ask("HEAD of stream", "HEAD", "/stream/async"),
    ask("HEAD of file", "HEAD", "/file"),
    ask("HEAD of missing", "HEAD", "/missing"),
    ask("HEAD of error", "HEAD", "/error"),
    ask("HEAD of def", "HEAD", "/def/text"),
    ask("OPTIONS of GET route", "OPTIONS", "/get-only"),
    ask("OPTIONS star", "OPTIONS", "*"),
]

PATHS = [
    get("not found", "/missing"),
    get("redirect to slash", "/slashed?a=1"),
    get("redirect from slash", "/get-only/"),
    get("redirect of mount", "/mounted"),
    get("int convertor", "/items/42"),
    get("int convertor mismatch", "/items/forty"),
    get("int convertor huge", "/items/" + "9" * 60),
    get("first match wins", "/items/special"),
    get("float convertor", "/float/1.50"),
    get("uuid convertor", f"/uuid/{UUID}"),
    get("uuid convertor upper case", f"/uuid/{UUID.upper()}"),
    get("str convertors", "/str/a%20b/c+d"),
    get("mixed segment", "/mixed/archive.tar.gz"),
    get("empty path parameter", "/str//b"),
    get("path plain", "/paths/a/b/c"),
    get("path empty rest", "/paths/"),
    get("path encoded slash", "/paths/a%2Fb%2fc"),
    get("path encoded space", "/paths/a%20b"),
    get("path encoded utf8", "/paths/%C5%BElu%C5%A5%F0%9F%90%8E"),
    get("path encoded NUL", "/paths/a%00b"),
    get("path not utf8", "/paths/%FF%FE"),
    get("path bad percent", "/paths/100%zz%"),
    get("path raw utf8", "/paths/ž".encode()),
    get("path raw latin-1", b"/paths/\xe9"),
    get("path encoded question mark", "/paths/a%3Fb?c=d"),
    get("path double slashes", "/paths//a///b//"),
    get("path leading double slash", "//paths/a"),
    get("path dot segments", "/paths/a/../b/./c"),
    get("path encoded dots", "/paths/%2e%2e/x"),
    get("path with semicolon", "/paths/a;v=1/b"),
    get("path of punctuation", "/paths/!$&'()*+,;=:@-._~"),
    get("path of brackets", "/paths/[a]{b}|c^d`e"),
    get("path with fragment", "/paths/a#frag"),
    get("path long", "/paths/" + "x" * 8000),
    get("absolute form", "http://testserver/paths/abs?q=1"),
    get("query", "/query?a=1&b=two&a=3&empty=&bare"),
    get("query encoded", "/query?q=%C4%8D%20x+y&%26=%3D"),
    get("query not utf8", "/query?q=%FF"),
    get("query raw utf8", "/query?q=ž".encode()),
    get("query of question marks", "/query?a?b=c?d"),
    get("query empty", "/query?"),
    get("query odd bytes", "/query?a=[1]{2}|^`'\"<>"),
    get("url", "/url?x=1&y=%20"),
    get("url_for", "/url-for"),
    ask("url with port in host", "GET", "/url", host="testserver:8123"),
    ask("url with odd host", "GET", "/url", host="UPPER.testserver"),
    get("mounted url", "/mounted/url?x=1"),
    get("mounted scope", "/mounted/scope"),
    get("mounted path", "/mounted/path/a%2Fb"),
    get("mounted with parameter", "/param/t%20x/path/a"),
    get("mounted app", "/app/scope"),
    get("mounted def", "/app/def"),
    get("mounted missing", "/app/missing"),
    ask("host route", "GET", "/host", host="alpha.hosts.test"),
]

HEADERS = [
    get("headers", "/headers", [("X-One", "1"), ("x-two", "2"), ("User-Agent", "replay")]),
    get("headers repeated", "/headers", [("X-Many", "1"), ("Accept", "*/*"), ("X-Many", "2"), ("x-many", "3")]),
    get("headers latin-1", "/headers", [("X-Latin", b"caf\xe9")]),
    get("headers utf8", "/headers", [("X-Utf8", "žluť".encode())]),
    get("headers empty", "/headers", [("X-Empty", "")]),
    get("headers padded", "/headers", [("X-Padded", "   a  b \t ")]),
    get("headers tab inside", "/headers", [("X-Tab", "a\tb")]),
    get("headers long", "/headers", [("X-Long", "v" * 8000)]),
    get("headers many", "/headers", [(f"X-{i}", str(i)) for i in range(80)]),
    get("headers underscore", "/headers", [("X_Under", "1")]),
    get("cookies", "/cookies", [("Cookie", 'a=1; b="two words"; c=%20; d')]),
    get("cookies in two headers", "/cookies", [("Cookie", "a=1"), ("Cookie", "b=2")]),
    get("forwarded for and proto", "/client", [("X-Forwarded-For", "10.1.2.3"), ("X-Forwarded-Proto", "https")]),
    get("client", "/client"),
    get("server", "/server"),
    get("scope values", "/scope/values"),
    get("scope asgi", "/scope/asgi"),
    get("scope extensions", "/scope/extensions"),
    get("scope keys", "/scope/keys"),
    get("scope types", "/scope/types"),
    get("lifespan state", "/state"),
    twice("request state is fresh", "/state/fresh"),
]

BODIES = [
    ask("body", "POST", "/body", body=b"hello \x00\xff"),
    ask("body empty", "POST", "/body", body=b""),
    ask("body without length", "POST", "/body"),
    ask("body large", "POST", "/body", body=bytes(range(256)) * 4096),
    ask("body stream large", "POST", "/body-stream", body=b"z" * 3_000_000),
    ask("body not read", "POST", "/unread", body=b"u" * 100),
    ask("json body", "POST", "/json-body", [JSON], '{"a": [1, "č"]}'.encode()),
    ask("json body broken", "POST", "/json-body", [JSON], b"{"),
    ask("form", "POST", "/form", [FORM], b"a=1&b=%C4%8D+x&a=2&empty="),
    ask("multipart", "POST", "/form", [MULTIPART], _PARTS),
    ask("multipart broken", "POST", "/form", [("Content-Type", "multipart/form-data")], b"--XX\r\n"),
]

FILES = [
    get("file", "/file"),
    get("file named", "/file/named"),
    get("file of def", "/file/def"),
    get("file range", "/file", [("Range", "bytes=10-19")]),
    get("file range open", "/file", [("Range", "bytes=2000-")]),
    get("file range suffix", "/file", [("Range", "bytes=-5")]),
    get("file ranges", "/file", [("Range", "bytes=0-1,100-103")]),
    get("file range unsatisfiable", "/file", [("Range", "bytes=99999-")]),
    get("file range malformed", "/file", [("Range", "lines=1-2")]),
    get("file if-range mismatch", "/file", [("Range", "bytes=0-3"), ("If-Range", '"other"')]),
    get("static", "/static/style.css"),
    get("static in folder", "/static/sub/file.json"),
    get("static index", "/static/"),
    get("static encoded name", "/static/a%20b.txt"),
    get("static missing", "/static/nope"),
    get("static folder redirect", "/static/sub"),
    get("static traversal", "/static/../app.py"),
    get("static encoded traversal", "/static/%2e%2e/app.py"),
    ask("static POST", "POST", "/static/style.css", body=b""),
    ask("static HEAD", "HEAD", "/static/style.css"),
    conditional("static if-none-match", "/static/style.css", "If-None-Match", "etag"),
    conditional("static if-modified-since", "/static/style.css", "If-Modified-Since", "last-modified"),
]

DEF = [
    get("def", "/def/text"),
    ask("def POST", "POST", "/def/text", body=b"ignored"),
    get("def item", "/def/item/7?a=b"),
    get("def error", "/def/error"),
    get("def http error", "/def/http-error"),
    twice("def context is fresh", "/def/context"),
    get("def slow", "/def/slow"),
]

ACCEPT_GZIP = ("Accept-Encoding", "gzip")
ORIGIN = ("Origin", "https://example.test")
PREFLIGHT = ("Access-Control-Request-Method", "POST")
MIDDLEWARE = [
    session_cookie("session", "/session"),
    get("gzip", "/gzip/text", [ACCEPT_GZIP]),
    get("gzip not accepted", "/gzip/text"),
    get("gzip stream", "/gzip/stream", [ACCEPT_GZIP]),
    ask("gzip HEAD", "HEAD", "/gzip/text", [ACCEPT_GZIP]),
    get("cors", "/cors/text", [ORIGIN]),
    get("cors other origin", "/cors/text", [("Origin", "https://other.test")]),
    ask("cors preflight", "OPTIONS", "/cors/text", [ORIGIN, PREFLIGHT]),
    ask("cors preflight refused", "OPTIONS", "/cors/text", [("Origin", "https://other.test"), PREFLIGHT]),
    get("trusted host", "/trusted/text"),
    ask("untrusted host", "GET", "/trusted/text", host="evil.test"),
    get("pure middleware", "/tag/text"),
    get("pure middleware stream", "/tag/stream"),
    get("base middleware", "/based/text"),
    get("base middleware stops", "/based/text", [("X-Stop", "1")]),
    get("base middleware stream", "/based/stream"),
    get("base middleware error", "/based/error"),
    ask("base middleware body", "POST", "/based/body", body=b"through"),
]

CASES = [*RESPONSES, *METHODS, *PATHS, *HEADERS, *BODIES, *FILES, *DEF, *MIDDLEWARE]
ROOT_PATH_CASES = [
    get("root path scope", "/scope/values"),
    get("root path echo", "/paths/a%20b"),
    get("root path url", "/url?x=1"),
    get("root path url_for", "/url-for"),
    get("root path redirect", "/slashed"),
    get("root path mounted", "/mounted/url"),
    get("root path static", "/static/style.css"),
    get("root path given twice", "/prefix/scope/values"),
    get("root path missing", "/nowhere"),
]
