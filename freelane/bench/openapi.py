"""Requests from an app's own OpenAPI document: its examples and defaults first, then values made by its schemas."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from freelane.bench.client import ask
from freelane.bench.processes import Running
from freelane.bench.request_files import Found
from freelane.bench.requests import Request
from freelane.errors import ConfigError

SAFE = ("get", "head")
METHODS = ("get", "head", "post", "put", "patch", "delete")
PLACES = ("/openapi.json", "/api/openapi.json", "/schema/openapi.json", "/docs/openapi.json")


class Unknown(Exception):
    """What cannot be guessed, in words."""


def fetch(running: Running, path: str | None = None) -> dict[str, Any]:
    """The document that a contender serves. Raises ConfigError where there is none."""
    for place in (path,) if path else PLACES:
        answer = ask(running, Request(path=place))
        if answer.status == 200:
            try:
                document = json.loads(answer.body)
            except ValueError:
                continue
            if isinstance(document, dict) and "paths" in document:
                return document
    raise ConfigError(f"no OpenAPI document at {path or ', '.join(PLACES)}; say where with --openapi PATH")


def requests(document: Mapping[str, Any], variables: Mapping[str, str], *, unsafe: bool = False) -> Found:
    """One request for each operation; with ``unsafe`` those too that may change data. Names the ones it cannot make."""
    found, maker = Found(), Maker(document)
    for path, item in document["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            if method not in SAFE and not unsafe:
                found.left_out.append(f"{method.upper()} {path}: may change data; --unsafe asks it too")
                continue
            try:
                found.requests.append(maker.request(path, method, item, variables))
            except Unknown as exc:
                found.left_out.append(f"{method.upper()} {path}: {exc}")
    return found


class Maker:
    """Makes requests by one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document

    def request(self, path: str, method: str, item: Mapping[str, Any], variables: Mapping[str, str]) -> Request:
        operation = item[method]
        query: list[tuple[str, str]] = []
        headers: list[tuple[str, str]] = []
        cookies: list[str] = []
        target = path
        listed = map(self.resolved, [*item.get("parameters", ()), *operation.get("parameters", ())])
        parameters = {(each["name"], each["in"]): each for each in listed}
        for (name, place), parameter in parameters.items():
            given = variables.get(name)
            if given is None and place != "path" and not parameter.get("required"):
                continue
            value = given if given is not None else self.parameter(name, parameter)
            if place == "path":
                target = target.replace(f"{{{name}}}", quote(one(value), safe=""))
            elif place == "query":
                query += [(name, one(each)) for each in (value if isinstance(value, list) else [value])]
            elif place == "header":
                headers.append((name, one(value)))
            else:
                cookies.append(f"{name}={one(value)}")
        if query:
            target += "?" + urlencode(query)
        if cookies:
            headers.append(("Cookie", "; ".join(cookies)))
        body, kind = self.body(operation)
        if kind:
            headers.append(("Content-Type", kind))
        return Request(method.upper(), target, tuple(headers), body, name=f"{method.upper()} {path}")

    def resolved(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a ``$ref`` of the same document means."""
        for _ in range(20):
            if "$ref" not in value:
                return value
            found: Any = self.document
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found.get(part.replace("~1", "/").replace("~0", "~"), {})
            value = found
        raise Unknown(f"its schema refers to itself: {value['$ref']}")

    def parameter(self, name: str, parameter: Mapping[str, Any]) -> Any:
        try:
            return self.value(parameter, self.resolved(parameter.get("schema", {})), smallest_text=1)
        except Unknown as exc:
            raise Unknown(f"needs {parameter['in']} parameter '{name}', {exc}; give --variable {name}=VALUE") from None

    def body(self, operation: Mapping[str, Any]) -> tuple[bytes, str]:
        asked = self.resolved(operation.get("requestBody", {}))
        content = asked.get("content", {})
        if not content:
            return b"", ""
        for kind in ("application/json", "application/x-www-form-urlencoded"):
            if kind in content:
                media = content[kind]
                value = self.value(media, self.resolved(media.get("schema", {})))
                if kind == "application/json":
                    return json.dumps(value).encode(), kind
                pairs = {key: one(item) for key, item in value.items()} if isinstance(value, dict) else {}
                return urlencode(pairs).encode(), kind
        if not asked.get("required"):
            return b"", ""
        raise Unknown(f"needs a body of {', '.join(content)}, which is not guessed")

    def value(self, holder: Mapping[str, Any], schema: Mapping[str, Any], smallest_text: int = 0) -> Any:
        """An example if there is one, else what the schema's default, choices or generator gives."""
        for source in (holder, schema):
            if "example" in source:
                return source["example"]
            examples = source.get("examples")
            if isinstance(examples, list) and examples:
                return examples[0]
            if isinstance(examples, dict) and examples:
                return self.resolved(next(iter(examples.values()))).get("value")
        for key in ("default", "const"):
            if schema.get(key) is not None:
                return schema[key]
        if schema.get("enum"):
            return schema["enum"][0]
        return self.generated(schema, smallest_text)

    def generated(self, schema: Mapping[str, Any], smallest_text: int) -> Any:
        """The simplest value that fits; properties that have examples keep them. The same each time."""
        schema = self.resolved(schema)
        if schema.get("type") == "object" or "properties" in schema:
            properties = schema.get("properties", {})
            wanted = [name for name in properties if name in schema.get("required", ())]
            return {name: self.value({}, self.resolved(properties[name])) for name in wanted}
        if schema.get("type") == "integer" and not {"multipleOf"} & schema.keys():
            low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
            return int(min(low if low > 0 else 1, schema.get("maximum", low if low > 0 else 1)))
        if schema.get("type") == "string" and not {"pattern", "format"} & schema.keys():
            return "a" * max(smallest_text, schema.get("minLength", 1), 1)
        return self.drawn(schema)

    def drawn(self, schema: Mapping[str, Any]) -> Any:
        try:
            import hypothesis
            from hypothesis.errors import HypothesisException
            from hypothesis_jsonschema import from_schema
        except ImportError:
            raise Unknown("whose value needs hypothesis-jsonschema (pip install 'freelane[bench]')") from None
        whole = {**schema, "components": self.document.get("components", {})}
        settings = hypothesis.settings(database=None, deadline=None, max_examples=200)
        try:
            return hypothesis.find(from_schema(whole), lambda value: True, settings=settings, random=random.Random(20))
        except (HypothesisException, ValueError, TypeError, KeyError) as exc:
            raise Unknown(f"whose schema gives no value ({type(exc).__name__})") from None


def one(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
