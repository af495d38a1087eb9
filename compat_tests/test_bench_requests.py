"""Where ``freelane bench`` takes requests from, and what load generators say, without a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from freelane.bench import openapi, request_files
from freelane.bench.contenders import HOST, parse
from freelane.bench.generators import bombardier, h2load, oha, wrk
from freelane.bench.load import Load, mix
from freelane.bench.requests import Request, parse_line
from freelane.errors import ConfigError


def test_lines_have_weights_headers_bodies_and_conversations() -> None:
    text = '# shop\n3 GET /a?q=\u017e  X-One: two\nPOST /b {"n": 1}\n/c\nWS /ws\n  > hi\n  > ho\n'
    first, second, third, fourth = request_files.of_text("requests.txt", text).requests
    assert first == Request("GET", "/a?q=%C5%BE", (("X-One", "two"),), weight=3)
    assert second == Request("POST", "/b", (("Content-Type", "application/json"),), b'{"n": 1}')
    assert third == Request("GET", "/c")
    assert fourth.messages == ("> hi", "<", "> ho", "<") and fourth.weight == 0
    with pytest.raises(ConfigError, match="line 2: 'nonsense'"):
        request_files.of_text("requests.txt", "/a\nnonsense\n")


def test_har_keeps_one_host_and_the_request_s_own_headers() -> None:
    asked = [
        {"method": "GET", "url": "https://shop.test/a?b=1", "headers": [{"name": "Host", "value": "shop.test"},
                                                                         {"name": "X-Key", "value": "1"}]},
        {"method": "POST", "url": "https://shop.test/c", "headers": [], "postData": {"text": "{}"}},
        {"method": "GET", "url": "https://cdn.test/x.js", "headers": []},
    ]  # fmt: skip
    found = request_files.of_text("a.har", json.dumps({"log": {"entries": [{"request": item} for item in asked]}}))
    assert [(item.method, item.path, item.headers, item.body) for item in found.requests] == [
        ("GET", "/a?b=1", (("X-Key", "1"),), b""), ("POST", "/c", (), b"{}"),
    ]  # fmt: skip
    assert found.left_out == ["1 requests to https://cdn.test"]


def test_an_access_log_has_weights_and_names_what_it_lacks() -> None:
    line = '127.0.0.1 - - [10/Oct/2026:13:55:36 +0000] "{} HTTP/1.1" 200 12 "-" "curl"\n'
    text = line.format("GET /a") * 2 + line.format("POST /b") + 'INFO:     127.0.0.1:5 - "GET /c HTTP/1.1" 200 OK\n'
    found = request_files.of_text("access.log", text)
    assert found.requests == [Request("GET", "/a", weight=2), Request("GET", "/c", weight=1)]
    assert found.left_out == ["1 times POST /b: a log does not have the body"]


def test_postman_and_http_files_bring_variables() -> None:
    collection = {
        "variable": [{"key": "id", "value": 7}],
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}"}]},
        "item": [{"name": "folder", "item": [{"name": "one", "request": {
            "method": "PUT", "url": {"raw": "{{base}}/items/:id?x=1", "variable": [{"key": "id", "value": "{{id}}"}]},
            "body": {"mode": "raw", "raw": "{}", "options": {"raw": {"language": "json"}}}}}]}],
    }  # fmt: skip
    found = request_files.of_text("a.json", json.dumps(collection))
    (asked,) = found.requests
    filled = asked.filled({**found.variables, "token": "sesame"})
    assert (filled.method, filled.path, filled.body) == ("PUT", "/items/7?x=1", b"{}")
    assert dict(filled.headers) == {"Content-Type": "application/json", "Authorization": "Bearer sesame"}
    text = '@host = http://localhost\n### one\nPOST {{host}}/a\nX-Key: 1\n\n{"a": 1}\n\n### two\n# said\nhttp://localhost/b\n'
    one, two = request_files.of_text("a.http", text).requests
    assert (one.method, one.path, one.headers, one.body) == ("POST", "/a", (("X-Key", "1"),), b'{"a": 1}')
    assert (two.method, two.path) == ("GET", "/b")


def test_openapi_takes_examples_makes_values_and_names_what_it_cannot() -> None:
    item = {"type": "object", "required": ["name", "mail"], "properties": {
        "name": {"type": "string", "examples": ["chair"]}, "mail": {"type": "string", "format": "email"}}}  # fmt: skip
    loop = {"$ref": "#/components/schemas/Loop"}
    document = {
        "components": {"schemas": {"Item": item, "Loop": loop}},
        "paths": {
            "/items/{id}": {
                "get": {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]}
            },
            "/items": {
                "post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}}}
            },
            "/loop": {"get": {"parameters": [{"name": "q", "in": "query", "required": True, "schema": loop}]}},
            "/file": {"post": {"requestBody": {"required": True, "content": {"image/png": {}}}}},
        },
    }
    found = openapi.requests(document, {}, unsafe=True)
    assert [item.path for item in found.requests] == ["/items/1", "/items"]
    body = json.loads(found.requests[1].body)
    assert body["name"] == "chair" and "@" in body["mail"]
    assert found.requests == openapi.requests(document, {}, unsafe=True).requests  # the same each time
    assert [line.partition(":")[0] for line in found.left_out] == ["GET /loop", "POST /file"]
    assert "--variable q=VALUE" in found.left_out[0]
    safe = openapi.requests(document, {"id": "7", "q": "x"})
    assert [item.path for item in safe.requests] == ["/items/7", "/loop?q=x"]


def test_contenders_are_read_as_they_are_written(tmp_path: Path) -> None:
    made = parse("new=uvicorn other:app --workers 2", "shop:app", tmp_path)
    assert made.name == "new" and made.arguments(1234)[1:4] == ["-m", "uvicorn", "other:app"]
    assert made.arguments(1234)[-2:] == ["--workers", "2"] and "1234" in made.arguments(1234)
    assert parse("cmd:serve {app} -b {host}:{port} {x}", "shop:app", tmp_path).arguments(5) == [
        "serve",
        "shop:app",
        "-b",
        f"{HOST}:5",
        "{x}",
    ]
    assert parse("shop:make.app", None, tmp_path).server == "freelane"
    assert parse("http://127.0.0.1:9/x/", None).url == "http://127.0.0.1:9/x"


def test_a_mix_has_each_request_by_its_weight() -> None:
    made = mix([Request(path="/a", weight=3), Request(path="/b", weight=1)])
    assert made.count(made[0]) + sum(item != made[0] for item in made) == len(made) == 400
    assert sum(item.path == "/a" for item in made) == 300
    script = wrk.lua(Load("http://x", made, 1))
    assert 'wrk.format("GET", "/a"' in script and wrk.quoted('a"\\\n\u00e9') == '"a\\034\\092\\010\\195\\169"'


def test_generators_say_what_they_cannot() -> None:
    asked = parse_line("GET /"), parse_line("POST / {}")
    assert wrk.cannot(Load("", asked, 1)) is None and wrk.cannot(Load("", asked, 1, rate=5)) is not None
    for generator in (oha, h2load, bombardier):
        assert generator.cannot(Load("", asked, 1)) is not None
        assert generator.cannot(Load("", asked[:1], 1)) is None
    assert oha.cannot(Load("", asked[:1], 1, rate=5)) is None


def test_what_oha_bombardier_and_h2load_say_is_read(tmp_path: Path) -> None:
    """By the schema in oha's repository, the template in bombardier's source, h2load(1)."""
    load = Load("http://x", (Request(),), 2.0)
    said = {"summary": {"total": 2.0, "slowest": 0.03}, "latencyPercentiles": {"p50": 0.001, "p99.9": 0.02, "p99.99": None},
            "statusCodeDistribution": {"200": 90, "500": 10}, "errorDistribution": {"aborted due to deadline": 4}}  # fmt: skip
    sample = oha.read(load, json.dumps(said), tmp_path)
    assert (sample.requests, sample.errors, sample.latency) == (100, {"status": 10}, {50.0: 1.0, 99.9: 20.0, 100.0: 30.0})
    assert sample.rate == 50
    said = {"result": {"timeTakenSeconds": 2.0, "req1xx": 0, "req2xx": 100, "req3xx": 0, "req4xx": 0, "req5xx": 0, "others": 3,
                       "latency": {"mean": 1.0, "max": 30000, "percentiles": {"50": 1000, "99": 9000}}}}  # fmt: skip
    sample = bombardier.read(load, json.dumps(said), tmp_path)
    assert (sample.requests, sample.errors) == (100, {"connection": 3})
    assert sample.latency == {50.0: 1.0, 99.0: 9.0, 100.0: 30.0}
    (tmp_path / "log").write_text("1\t200\t1000\n2\t503\t2000\n3\t-1\t0\n")
    sample = h2load.read(load, "", tmp_path)
    assert (sample.requests, sample.errors, sample.latency[50.0]) == (2, {"read": 1, "status": 1}, 2.0)
