"""An OpenAPI 3.1 description of the app, and a page that shows it.

The page is Swagger UI from an installed package that has its files, served from here: nothing
is fetched from elsewhere. Without one it is a plain list.
"""

from __future__ import annotations

import functools
import html
import importlib.util
import inspect
import os
from typing import TYPE_CHECKING, Any

from freelane.adapters.pyre.injection import MISSING, hints_of
from freelane.adapters.pyre.requests import PyreRequest
from freelane.adapters.pyre.responses import HTMLResponse, PyreResponse
from freelane.adapters.pyre.routes import PARAM, Route
from freelane.adapters.pyre.schemas import Schema, Schemas

if TYPE_CHECKING:
    from freelane.adapters.pyre.app import Pyre

ASSETS = {"swagger-ui.css": "text/css; charset=utf-8", "swagger-ui-bundle.js": "text/javascript; charset=utf-8"}

# Packages known to carry Swagger UI 5; swagger-ui-bundle has version 4.
PACKAGES = ("fastapi_swagger", "flask_swagger_ui", "drf_spectacular_sidecar")

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="stylesheet" href="{base}/swagger-ui.css"></head>
<body><div id="ui"></div><script src="{base}/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({{url: "{url}", dom_id: "#ui"}})</script></body></html>
"""


class OpenAPI:
    """``url`` and ``docs_url`` are where the description and the page are; None for nowhere."""

    def __init__(self, app: Pyre, title: str, version: str, url: str | None, docs_url: str | None) -> None:
        self.app = app
        self.title = title
        self.version = version
        self.url = url
        self.docs_url = docs_url if url else None

    def routes(self) -> list[Route]:
        found: list[Route] = []
        if self.url:
            found.append(Route("GET", self.url, lambda request: self.document()))
        if self.docs_url:
            found.append(Route("GET", self.docs_url, self.page))
            found.append(Route("GET", self.docs_url.rstrip("/") + "/assets/{name}", self.asset))
        return found

    def document(self) -> Schema:
        """The description of what is registered now."""
        schemas = Schemas("#/components/schemas/")
        paths: dict[str, Schema] = {}
        for route in self.app.table.routes:
            template = PARAM.sub(r"{\1}", route.pattern)
            paths.setdefault(template, {})[route.method.lower()] = operation(route, schemas)
        document: Schema = {
            "openapi": "3.1.0",
            "info": {"title": self.title, "version": self.version},
            "paths": paths,
        }
        schemas.models.setdefault("Error", {"type": "object", "properties": {"error": {"type": "string"}}})
        document["components"] = {"schemas": schemas.models}
        return document

    def page(self, request: PyreRequest) -> Any:
        scope = request.scope
        root = scope.get("root_path", "") if scope else ""
        if directory() is None:
            return HTMLResponse(self.plain_page())
        assert self.docs_url is not None
        return HTMLResponse(
            PAGE.format(
                title=html.escape(self.title),
                base=html.escape(root + self.docs_url.rstrip("/") + "/assets"),
                url=html.escape(root + (self.url or "")),
            )
        )

    def asset(self, request: PyreRequest) -> Any:
        name, found = request.params["name"], directory()
        if name not in ASSETS or found is None:
            return PyreResponse({"error": "not found"}, 404)
        with open(os.path.join(found, name), "rb") as file:
            return PyreResponse(file.read(), 200, ASSETS[name], {"cache-control": "public, max-age=3600"})

    def plain_page(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(route.method)}</td><td><code>{html.escape(route.path)}</code></td>"
            f"<td>{html.escape(summary(route))}</td></tr>"
            for route in self.app.table.routes
        )
        title = html.escape(self.title)
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
            f"<body><h1>{title}</h1><p>Install <code>freelane[docs]</code> to try the endpoints here. "
            f'<a href="{html.escape(self.url or "")}">OpenAPI document</a></p><table>{rows}</table></body></html>'
        )


@functools.cache
def directory() -> str | None:
    """Where Swagger UI 5's files are, the first that reads OpenAPI 3.1; None if no package has them."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)  # found, not imported: only its files are wanted
        for root in (spec and spec.submodule_search_locations) or ():
            for path, _, files in os.walk(root):
                if all(name in files for name in ASSETS):
                    return path
    return None


def summary(route: Route) -> str:
    return (inspect.getdoc(route.handler) or route.name.replace("_", " ")).partition("\n")[0]


def operation(route: Route, schemas: Schemas) -> Schema:
    """One method of one path."""
    name = "_".join(part for part in [route.method.lower(), *words(route.pattern)] if part)
    described: Schema = {"operationId": name}
    described["summary"] = summary(route)
    if text := inspect.getdoc(route.handler):
        described["description"] = text
    named = {item.name: item for item in route.parameters}
    parameters: list[Schema] = []
    for name in PARAM.findall(route.pattern):
        hint = named[name].hint if name in named and named[name].where == "path" else str
        parameters.append({"name": name, "in": "path", "required": True, "schema": schemas.of(hint, {"type": "string"})})
    for item in route.parameters:
        if item.where == "query":
            schema = schemas.of(item.hint, {"type": "string"})
            if item.default is not MISSING and isinstance(item.default, (str, int, float, bool)):
                schema["default"] = item.default
            parameters.append({"name": item.name, "in": "query", "required": item.default is MISSING, "schema": schema})
    if parameters:
        described["parameters"] = parameters
    body = next((item for item in route.parameters if item.where == "body"), None)
    hint = route.model if route.model is not None else body.hint if body is not None else None
    if hint is not None:
        kind = "application/octet-stream" if hint is bytes else "application/json"
        required = body is None or body.default is MISSING
        described["requestBody"] = {"required": required, "content": {kind: {"schema": schemas.of(hint)}}}
    answer = hints_of(route.handler).get("return", MISSING)
    success: Schema = {"description": "Success"}
    schema = {} if answer in (MISSING, Any, PyreResponse) else schemas.of(answer)
    if schema:
        kind = "text/plain" if answer is str else "application/json"
        success["content"] = {kind: {"schema": schema}}
    described["responses"] = {"200": success}
    if parameters or hint is not None:
        error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        described["responses"]["422"] = {"description": "A value does not fit", "content": error}
    return described


def words(pattern: str) -> list[str]:
    return [part.strip("{}").partition(":")[0] for part in pattern.split("/")]
