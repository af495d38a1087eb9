from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from typing_extensions import disjoint_base

from freelane.fastcore.routing.dispatcher import Call

@disjoint_base
class PyreRequest:
    method: str
    path: str
    params: Any
    def __init__(
        self,
        method: str = "GET",
        path: str = "/",
        params: Mapping[str, str] | None = None,
        query: str = "",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        client_ip: str = "",
    ) -> None: ...
    @property
    def body(self) -> bytes: ...
    @property
    def query(self) -> str: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def client_ip(self) -> str: ...
    @property
    def scope(self) -> Any: ...
    @property
    def query_pairs(self) -> list[tuple[str, str]]: ...
    @property
    def query_params(self) -> dict[str, str]: ...
    @property
    def state(self) -> SimpleNamespace: ...
    @property
    def cookies(self) -> dict[str, str]: ...
    def text(self) -> str: ...
    def json(self) -> Any: ...

@disjoint_base
class DirectRequest(PyreRequest):
    def __init__(self, call: Call) -> None: ...

@disjoint_base
class ASGIRequest(PyreRequest):
    def __init__(self, source: Any, path: str, body: bytes, params: dict[str, str] | None) -> None: ...

@disjoint_base
class BareAnswer:
    def __init__(self, failure: Callable[[BaseException, Any], Any], wait: Callable[[Any], Any]) -> None: ...
    def __call__(self, call: Call) -> tuple[int, list[tuple[str, str]], Any]: ...
