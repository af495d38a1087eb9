"""All cases, by name."""

from __future__ import annotations

from . import cases_fastapi, cases_framing, cases_http, cases_websocket
from .case import Case


def _by_name(cases: list[Case]) -> dict[str, Case]:
    named = {case.name: case for case in cases}
    assert len(named) == len(cases), "two cases have one name"
    return named


CASES = _by_name([*cases_http.CASES, *cases_framing.CASES, *cases_websocket.CASES])
# Replayed against servers started with a root path.
ROOT_PATH_CASES = _by_name(cases_http.ROOT_PATH_CASES)
# Replayed against the FastAPI app.
FASTAPI_CASES = _by_name(cases_fastapi.CASES)
FASTAPI_SOCKETS = _by_name(cases_fastapi.SOCKETS)
