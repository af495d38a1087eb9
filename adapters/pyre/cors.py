"""Cross-origin resource sharing (Fetch, "HTTP CORS protocol")."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from freelane.adapters.pyre.requests import PyreRequest
from freelane.adapters.pyre.responses import Answer, Headers

logger = logging.getLogger("freelane.pyre")


def names(value: str | Sequence[str]) -> list[str]:
    items = value.split(",") if isinstance(value, str) else value
    return [item.strip() for item in items if item.strip()]


class CORS:
    """The headers of one configuration. ``plain`` are those of every response whatever its request's origin."""

    def __init__(
        self,
        allow_origins: str | Sequence[str],
        allow_methods: str | Sequence[str],
        allow_headers: str | Sequence[str],
        expose_headers: str | Sequence[str],
        allow_credentials: bool,
        max_age: int,
    ) -> None:
        self.origins = frozenset(names(allow_origins))
        self.any = "*" in self.origins
        self.credentials = allow_credentials
        self.methods = names(allow_methods)
        self.headers = names(allow_headers)
        self.max_age = max_age
        self.common: Headers = [
            ("access-control-allow-methods", ", ".join(self.methods)),
            ("access-control-allow-headers", ", ".join(self.headers)),
        ]
        if allow_credentials:
            self.common.append(("access-control-allow-credentials", "true"))
        if expose := names(expose_headers):
            self.common.append(("access-control-expose-headers", ", ".join(expose)))
        # With credentials a browser takes no "*": the origin that asks is echoed then.
        self.echoes = allow_credentials or not self.any
        if self.any and allow_credentials:
            logger.warning(
                "CORS for every origin with credentials lets any site act for your users: name the origins that may."
            )

    def allows(self, origin: str | None) -> bool:
        return origin is not None and (self.any or origin in self.origins)

    def origin_headers(self, origin: str | None) -> Headers:
        if not self.echoes:
            return [("access-control-allow-origin", "*")]
        if origin is not None and self.allows(origin):
            return [("access-control-allow-origin", origin), ("vary", "Origin")]
        return [("vary", "Origin")]

    def apply(self, request: PyreRequest, headers: Headers) -> Headers:
        """``headers`` with those of CORS; what a handler set of them itself is replaced."""
        origin = request.headers.get("origin") if self.echoes else None
        kept = [pair for pair in headers if not pair[0].startswith("access-control-")]
        if self.echoes and origin is not None and not self.allows(origin):
            return kept + [("vary", "Origin")]
        return kept + self.origin_headers(origin) + self.common

    def preflight(self, request: PyreRequest) -> Answer | None:
        """The answer to a preflight request; None if ``request`` is none."""
        headers = request.headers
        if request.method != "OPTIONS" or "access-control-request-method" not in headers:
            return None
        origin = headers.get("origin")
        if self.echoes and not self.allows(origin):
            return Answer(204, [("vary", "Origin")], b"")
        pairs = self.origin_headers(origin) + self.common
        if self.credentials and "*" in self.headers and "access-control-request-headers" in headers:
            # Fetch: "*" stands for itself where credentials are allowed.
            wanted = headers["access-control-request-headers"]
            pairs = [pair for pair in pairs if pair[0] != "access-control-allow-headers"]
            pairs.append(("access-control-allow-headers", ", ".join(names(wanted))))
        if self.max_age:
            pairs.append(("access-control-max-age", str(self.max_age)))
        return Answer(204, pairs, b"")
