"""The request that handlers and hooks are given."""

from __future__ import annotations

from freelane.adapters.pyre._request import ASGIRequest, BareAnswer, DirectRequest, PyreRequest
from freelane.adapters.pyre.parsing import load_json

__all__ = ["ASGIRequest", "BareAnswer", "DirectRequest", "PyreRequest", "load_json"]
