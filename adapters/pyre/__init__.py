"""Pyre's decorators on freelane: the public names of pyreframework 1.5.0, and what it lacks.

``from freelane.adapters.pyre import Pyre`` in place of ``from pyreframework import Pyre``;
see migration_guide/pyre.md.
"""

from __future__ import annotations

from freelane.adapters import registry
from freelane.adapters.pyre import exceptions, status
from freelane.adapters.pyre.adapter import PyreAdapter
from freelane.adapters.pyre.app import LogConfig, Pyre
from freelane.adapters.pyre.cookies import delete_cookie, get_cookie, get_cookies, set_cookie
from freelane.adapters.pyre.engine import (
    PyreApp,
    PyreRequest,
    PyreResponse,
    PyreStream,
    PyreWebSocket,
    SharedState,
    emit_python_log,
    get_gil_metrics,
    init_logger,
)
from freelane.adapters.pyre.exceptions import HTTPException
from freelane.adapters.pyre.mcp import MCPServer
from freelane.adapters.pyre.responses import HTMLResponse, JSONResponse, PlainTextResponse, redirect
from freelane.adapters.pyre.rpc import PyreRPCClient
from freelane.adapters.pyre.uploads import UploadFile, parse_multipart
from freelane.fastcore.version import __version__

__all__ = [
    "HTMLResponse", "HTTPException", "JSONResponse", "LogConfig", "MCPServer", "PlainTextResponse", "Pyre", "PyreApp",
    "PyreRPCClient", "PyreRequest", "PyreResponse", "PyreStream", "PyreWebSocket", "SharedState", "UploadFile",
    "__version__", "delete_cookie", "emit_python_log", "exceptions", "get_cookie", "get_cookies", "get_gil_metrics",
    "init_logger", "parse_multipart", "redirect", "set_cookie", "status",
]  # fmt: skip

registry.register(PyreAdapter())
