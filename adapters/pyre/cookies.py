"""Read and set cookies (RFC 6265)."""

from __future__ import annotations

import re
from typing import Any

from freelane.adapters.pyre.responses import PyreResponse, Several

# RFC 6265, 4.1.1. A value may also hold spaces, commas, quotes and backslashes, which
# browsers keep, but never what ends it.
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
VALUE = re.compile(r"[\x20-\x3a\x3c-\x7e]*").fullmatch
SAMESITE = ("strict", "lax", "none")


def get_cookies(req: Any) -> dict[str, str]:
    """The request's cookies; of several with one name the first, which is the most specific."""
    cookies: dict[str, str] = {}
    for pair in req.headers.get("cookie", "").split(";"):
        name, equals, value = pair.partition("=")
        name, value = name.strip(), value.strip()
        if equals and name not in cookies:
            if len(value) >= 2 and value[0] == value[-1] == '"':
                value = value[1:-1]
            cookies[name] = value
    return cookies


def get_cookie(req: Any, name: str, default: str | None = None) -> str | None:
    """One cookie's value."""
    return get_cookies(req).get(name, default)


def check(field: str, value: str) -> str:
    if not VALUE(value):
        raise ValueError(f"cookie {field} contains a forbidden character (control, ';' or not ASCII): {value!r}")
    return value


def set_cookie(
    response: PyreResponse,
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    expires: str | None = None,
    path: str = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = False,
    samesite: str | None = "Lax",
) -> PyreResponse:
    """A copy of ``response`` with one more Set-Cookie header; a cookie of the same name, path and domain is replaced.

    Raises ValueError for what a cookie cannot hold.
    """
    if not NAME(name):
        raise ValueError(f"cookie name contains a forbidden character: {name!r}")
    parts = [f"{name}={check('value', value)}"]
    if max_age is not None:
        parts.append(f"Max-Age={int(max_age)}")
    if expires:
        parts.append(f"Expires={check('expires', expires)}")
    if path:
        parts.append(f"Path={check('path', path)}")
    if domain:
        parts.append(f"Domain={check('domain', domain)}")
    if secure:
        parts.append("Secure")
    if httponly:
        parts.append("HttpOnly")
    if samesite:
        if samesite.lower() not in SAMESITE:
            raise ValueError(f"samesite must be Strict, Lax or None, not {samesite!r}")
        parts.append(f"SameSite={samesite}")
    cookie = "; ".join(parts)
    headers = dict(getattr(response, "headers", None) or {})
    key = next((known for known in headers if known.lower() == "set-cookie"), "set-cookie")
    known = headers.get(key)
    if known is not None:
        values = tuple(known) if isinstance(known, (list, tuple)) else getattr(known, "values", (str(known),))
        kept = tuple(other for other in values if identity(other) != identity(cookie))
        headers[key] = Several((*kept, cookie)) if kept else cookie
    else:
        headers[key] = cookie
    return PyreResponse(response.body, getattr(response, "status_code", 200), getattr(response, "content_type", None), headers)


def identity(cookie: str) -> tuple[str, str, str]:
    """Name, path and domain, which tell one cookie from another (RFC 6265, 5.3)."""
    pair, *attributes = cookie.split("; ")
    found = dict(attribute.partition("=")[::2] for attribute in attributes)
    return pair.partition("=")[0], found.get("Path", ""), found.get("Domain", "")


def delete_cookie(response: PyreResponse, name: str, *, path: str = "/", domain: str | None = None) -> PyreResponse:
    """A copy of ``response`` that makes the client forget a cookie."""
    return set_cookie(response, name, "", max_age=0, path=path, domain=domain)
