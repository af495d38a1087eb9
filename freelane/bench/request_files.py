"""Requests from a file: lines, HAR, an access log, a Postman collection, a .http file. Which one is told by what is in it."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from freelane.bench.requests import METHOD, Headers, Request, complete, conversation, from_url, on_the_wire, parse_line
from freelane.errors import ConfigError

# Common and combined log format, of Apache, nginx, gunicorn, hypercorn; and uvicorn's, granian's lines have the same part.
LOGGED = re.compile(r'"([A-Z]+) (\S+) HTTP/[\d.]+"')
# What the client's connection says, not the request.
OF_THE_CLIENT = frozenset(
    {"host", "connection", "content-length", "accept-encoding", "user-agent", "transfer-encoding", "upgrade-insecure-requests",
     "if-none-match", "if-modified-since", "cache-control", "pragma", "te", "priority", "referer", "origin"}
)  # fmt: skip


@dataclass
class Found:
    """The requests of a file, its own variables, and what of it was left out and why."""

    requests: list[Request] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def read(path: str) -> Found:
    """Raises ConfigError for a file that cannot be read or has no request."""
    try:
        text = Path(path).read_text()
    except OSError as exc:
        raise ConfigError(f"cannot read '{path}': {exc.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"'{path}' is no text file") from None
    try:
        found = of_text(path, text)
    except ConfigError as exc:
        raise ConfigError(f"'{path}': {exc}") from None
    if not found.requests:
        raise ConfigError(f"'{path}' has no request in it" + "".join(f"\n  {line}" for line in found.left_out[:5]))
    return found


def of_text(path: str, text: str) -> Found:
    if text.lstrip().startswith("{"):
        try:
            data = json.loads(text)
        except ValueError as exc:
            raise ConfigError(f"it is no JSON: {exc}") from None
        if isinstance(data.get("log"), dict) and "entries" in data["log"]:
            return har(data)
        if "item" in data:
            return postman(data)
        raise ConfigError("it is JSON, and neither a HAR nor a Postman collection; an OpenAPI document goes to --openapi")
    if path.endswith((".http", ".rest")) or text.lstrip().startswith("###"):
        return http_file(text, Path(path).parent)
    if LOGGED.search(text):
        return access_log(text)
    return lines(text)


def lines(text: str) -> Found:
    """``METHOD /path`` each; '#' begins a comment, indented '>' and '<' lines belong to the WS line above."""
    found = Found()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            if line[0].isspace() and line.strip()[0] in "<>":
                last = found.requests.pop()
                had = (*(last.messages or ()), line.strip())
                found.requests.append(replace(last, messages=had))
            else:
                found.requests.append(parse_line(line))
        except (ConfigError, IndexError) as exc:
            raise ConfigError(f"line {number}: {exc or 'a message without a WS line above'}") from None
    found.requests = [
        item if item.messages is None else replace(item, messages=complete(item.messages)) for item in found.requests
    ]
    return found


def har(data: Mapping[str, Any]) -> Found:
    """HTTP Archive 1.2: what a browser's network panel saves. Only the host that most requests went to."""
    found = Found()
    entries = [entry["request"] for entry in data["log"]["entries"] if "request" in entry]
    hosts = Counter(re.sub(r"^(\w+://[^/]+).*", r"\1", entry["url"]) for entry in entries)
    host = hosts.most_common(1)[0][0] if hosts else ""
    for other, count in hosts.items():
        if other != host:
            found.left_out.append(f"{count} requests to {other}")
    for entry in entries:
        if not entry["url"].startswith(host) or not METHOD.fullmatch(entry.get("method", "")):
            continue
        posted = entry.get("postData") or {}
        body = posted.get("text", "")
        if not body and posted.get("params"):
            from urllib.parse import urlencode

            body = urlencode([(item["name"], item.get("value", "")) for item in posted["params"]])
        data_ = base64.b64decode(body) if posted.get("encoding") == "base64" else body.encode()
        headers = kept((item["name"], item["value"]) for item in entry.get("headers", ()))
        found.requests.append(Request(entry["method"], from_url(entry["url"]), headers, data_))
    return found


def kept(pairs: Iterator[tuple[str, str]] | Any) -> Headers:
    return tuple((name, value) for name, value in pairs if name.lower() not in OF_THE_CLIENT and not name.startswith(":"))


def access_log(text: str) -> Found:
    """The requests that changed nothing, each as often as it came; a log has no bodies."""
    found = Found()
    counts: Counter[tuple[str, str]] = Counter()
    for line in text.splitlines():
        if asked := LOGGED.search(line):
            counts[asked.group(1), asked.group(2)] += 1
        elif line.strip():
            found.left_out.append(f"no request in: {line.strip()[:80]}")
    for (method, target), count in counts.items():
        if method in ("GET", "HEAD", "OPTIONS") and not target.startswith("*"):
            path = on_the_wire(target) if target.startswith("/") else from_url(target)
            found.requests.append(Request(method, path, weight=count))
        else:
            found.left_out.append(f"{count} times {method} {target}: a log does not have the body")
    return found


def postman(data: Mapping[str, Any]) -> Found:
    """A Postman collection, schema 2.x: folders, variables, bearer and basic auth, raw and urlencoded bodies."""
    found = Found(variables={item["key"]: str(item.get("value", "")) for item in data.get("variable", ()) if "key" in item})
    postman_items(data, data.get("auth"), found)
    return found


def postman_items(folder: Mapping[str, Any], auth: Any, found: Found) -> None:
    for item in folder.get("item", ()):
        if "item" in item:
            postman_items(item, item.get("auth") or auth, found)
            continue
        asked = item.get("request")
        if isinstance(asked, str):
            asked = {"method": "GET", "url": asked}
        url = asked.get("url", "")
        raw = url if isinstance(url, str) else url.get("raw", "")
        # {{baseUrl}}/path, http://host/path and host/path all mean the contender.
        path = re.sub(r"^(?:\w+://[^/?]+|\{\{[^}]+\}\}(?=/|$)|[^/?]+)", "", raw) or "/"
        if isinstance(url, dict):
            for variable in url.get("variable", ()):
                path = re.sub(rf":{re.escape(variable['key'])}(?=/|\?|$)", str(variable.get("value", "")), path)
        headers = list(kept((h["key"], h["value"]) for h in asked.get("header") or () if not h.get("disabled")))
        body, kind = postman_body(asked.get("body") or {})
        if body is None:
            found.left_out.append(f"{item.get('name', raw)}: a {kind} body")
            continue
        if kind and body:
            headers.append(("Content-Type", kind))
        headers += postman_auth(asked.get("auth") or auth)
        path = path if path.startswith("/") else "/" + path
        found.requests.append(Request(asked.get("method", "GET"), on_the_wire(path), tuple(headers), body))


def postman_body(body: Mapping[str, Any]) -> tuple[bytes | None, str]:
    mode = body.get("mode")
    if mode in (None, "none"):
        return b"", ""
    if mode == "raw":
        language = body.get("options", {}).get("raw", {}).get("language", "")
        return body.get("raw", "").encode(), "application/json" if language == "json" else ""
    if mode == "urlencoded":
        from urllib.parse import urlencode

        fields = [(item["key"], item.get("value", "")) for item in body["urlencoded"] if not item.get("disabled")]
        return urlencode(fields, safe="{}").encode(), "application/x-www-form-urlencoded"
    if mode == "graphql":
        asked = body["graphql"]
        return json.dumps({"query": asked.get("query"), "variables": asked.get("variables") or {}}).encode(), "application/json"
    return None, str(mode)


def postman_auth(auth: Any) -> list[tuple[str, str]]:
    if not auth or auth.get("type") not in ("bearer", "basic"):
        return []
    values = auth[auth["type"]]
    known = values if isinstance(values, dict) else {item["key"]: item.get("value", "") for item in values}
    if auth["type"] == "bearer":
        return [("Authorization", f"Bearer {known.get('token', '')}")]
    pair = f"{known.get('username', '')}:{known.get('password', '')}"
    return [("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())]


def http_file(text: str, directory: Path) -> Found:
    """A .http file, as JetBrains' HTTP client and VS Code's REST Client have it: '###' between requests, '@name = value'."""
    found = Found()
    for part in re.split(r"^###.*$", text, flags=re.MULTILINE):
        rest: list[str] = []
        for line in part.splitlines():
            if assigned := re.match(r"@([\w.-]+)\s*=\s*(.*)$", line):
                found.variables[assigned.group(1)] = assigned.group(2).strip()
            elif not (line.startswith(("#", "//")) and not rest_has_blank(rest)):
                rest.append(line)
        while rest and not rest[0].strip():
            rest.pop(0)
        if rest:
            found.requests.append(http_request(rest, directory))
    return found


def rest_has_blank(rest: list[str]) -> bool:
    """Whether the body has begun: what looks like a comment there is the body's."""
    return any(not line.strip() for line in rest[1:])


def http_request(rest: list[str], directory: Path) -> Request:
    first, *more = rest
    words = first.split()
    method, target = (words[0], words[1]) if len(words) > 1 and METHOD.fullmatch(words[0]) else ("GET", words[0])
    head, body = more, ""
    if "" in (stripped := [line.strip() for line in more]):
        cut = stripped.index("")
        head, body = more[:cut], "\n".join(more[cut + 1 :]).strip()
    pairs = []
    for line in head:
        if line[:1].isspace() and line.strip()[:1] in "?&":
            target += line.strip()
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise ConfigError(f"'{line}' is no header of {method} {target}")
        pairs.append((name.strip(), value.strip()))
    path = re.sub(r"^(?:\w+://[^/?]+|\{\{[^}]+\}\}(?=/|$))", "", target) or "/"
    if method == "WEBSOCKET":
        return conversation(f"WS {path}")
    data = body.encode()
    if loaded := re.match(r"<\s+(\S+)$", body):
        try:
            data = (directory / loaded.group(1)).read_bytes()
        except OSError as exc:
            raise ConfigError(f"cannot read the body '{loaded.group(1)}': {exc.strerror}") from None
    return Request(method, on_the_wire(path), kept(iter(pairs)), data)
