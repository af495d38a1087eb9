"""The pytest plugin that puts Starlette's TestClient on ``Loopback``."""

from __future__ import annotations

from typing import Any

import starlette.testclient

from compat_tests.upstream.loopback import Loopback


class TestClient(starlette.testclient.TestClient):
    __test__ = False

    def __init__(self, app: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(app, *args, **kwargs)
        inner = self.app
        self._transport.app = Loopback(inner)  # type: ignore[attr-defined]


starlette.testclient.TestClient = TestClient  # type: ignore[misc]
