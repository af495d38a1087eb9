"""Calls over HTTP in JSON or MessagePack, as the client asks; and the client."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from freelane.adapters.pyre.requests import PyreRequest, load_json
from freelane.adapters.pyre.responses import PyreResponse
from freelane.adapters.pyre.routes import is_async
from freelane.fastcore.json.writer import dumps

if TYPE_CHECKING:
    from freelane.adapters.pyre.app import Pyre

logger = logging.getLogger("freelane.pyre.rpc")

F = TypeVar("F", bound=Callable[..., Any])

try:
    import msgpack as packer
except ImportError:
    try:
        import umsgpack as packer
    except ImportError:
        packer = None
HAS_MSGPACK = packer is not None

MSGPACK_TYPE = "application/msgpack"


def pack(value: Any) -> bytes:
    return packer.packb(value)  # type: ignore[no-any-return]


def unpack(data: bytes) -> Any:
    """Raises ValueError for what is no MessagePack."""
    try:
        return packer.unpackb(data)
    except Exception as exc:
        raise ValueError(f"invalid MessagePack: {type(exc).__name__}: {exc}") from None


class PyreRPCClient:
    """Calls ``POST {base_url}/rpc/{method}`` for ``client.method(name=value)``. One client may serve many threads.

    Raises RuntimeError with the server's words when a call fails there.
    """

    def __init__(self, base_url: str, use_msgpack: bool = True, timeout: float = 30.0) -> None:
        try:
            import httpx
        except ImportError:
            raise ImportError("PyreRPCClient needs httpx: install 'freelane[pyre]'") from None
        self.base_url = base_url.rstrip("/")
        self.use_msgpack = use_msgpack and HAS_MSGPACK
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20)
        self._client = httpx.Client(limits=limits, timeout=timeout)

    def call(self, method: str, /, **arguments: Any) -> Any:
        """Call ``method``, whatever its name."""
        kind = MSGPACK_TYPE if self.use_msgpack else "application/json"
        content = pack(arguments) if self.use_msgpack else dumps(arguments)
        response = self._client.post(
            f"{self.base_url}/rpc/{method}", content=content, headers={"content-type": kind, "accept": kind}
        )
        data: Any = None
        try:
            packed = "msgpack" in response.headers.get("content-type", "")
            data = unpack(response.content) if packed else response.json()
        except ValueError:
            pass
        if not isinstance(data, dict) or response.status_code >= 400:
            detail = data.get("error") if isinstance(data, dict) else response.text[:200]
            raise RuntimeError(f"RPC Error: {response.status_code} {detail}")
        if not data.get("ok", True):
            raise RuntimeError(f"RPC Error: {data.get('error')}")
        return data.get("result", data)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda **arguments: self.call(name, **arguments)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> PyreRPCClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def decode(request: PyreRequest, proto_model: Any) -> Any:
    if not request.body:
        return {}
    kind = request.headers.get("content-type", "").lower()
    if "msgpack" in kind and HAS_MSGPACK:
        return unpack(request.body)
    if "protobuf" in kind and proto_model is not None:
        return proto_model().parse(request.body)
    return load_json(request.body)


def encode(envelope: dict[str, Any], request: PyreRequest) -> Any:
    accept = request.headers.get("accept")
    if accept in (None, "*/*"):
        accept = request.headers.get("content-type", "")
    if "msgpack" in str(accept).lower() and HAS_MSGPACK:
        return PyreResponse(pack(envelope), content_type=MSGPACK_TYPE)
    return envelope


def rpc_decorator(app: Pyre, path: str, proto_model: Any = None) -> Callable[[F], F]:
    """Register ``POST path`` for ``handler(data)`` or ``handler(req, data)``.

    The answer is ``{"ok": true, "result": …}``, or ``{"ok": false, "error": …}`` for what
    the handler raises, which is logged.
    """

    def register(function: F) -> F:
        both = len(inspect.signature(function).parameters) >= 2

        def failed(exc: Exception, req: PyreRequest) -> Any:
            logger.exception("RPC handler %s raised", getattr(function, "__qualname__", function))
            return encode({"ok": False, "error": f"{type(exc).__name__}: {exc}"}, req)

        def call(req: PyreRequest) -> Any:
            data = decode(req, proto_model)
            return function(req, data) if both else function(data)

        if is_async(function):

            async def handler(req: PyreRequest) -> Any:
                try:
                    return encode({"ok": True, "result": await call(req)}, req)
                except Exception as exc:
                    return failed(exc, req)

        else:

            def handler(req: PyreRequest) -> Any:  # type: ignore[misc]
                try:
                    return encode({"ok": True, "result": call(req)}, req)
                except Exception as exc:
                    return failed(exc, req)

        handler.__name__ = getattr(function, "__name__", "rpc")
        handler.__doc__ = function.__doc__
        app.route("POST", path, handler, gil=bool(getattr(function, "__freelane_gil__", False)))
        return function

    return register
