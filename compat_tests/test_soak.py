"""Nothing grows with the events of a connection, nor with the requests of a server (``compat_tests.soak`` for more of them)."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from compat_tests import soak
from compat_tests.servers import Server, running

pytestmark = [
    pytest.mark.thread_unsafe(reason="starts servers"),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

EVENTS = 1000


@pytest.fixture(scope="module", params=["rsgi", "asgi"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("soak")
    (directory / "soak_app.py").write_text(soak.APP)
    with running(directory, "soak_app:app", "--transport", request.param) as server:
        yield server


@pytest.mark.parametrize("case", soak.CASES)
def test_nothing_grows(server: Server, case: str) -> None:
    found = soak.grown(server, case, EVENTS)
    assert not soak.is_leak(found, EVENTS), found.line()
