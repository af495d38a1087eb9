from collections.abc import Callable
from typing import Any

class JSONError(ValueError):
    reason: str
    path: str
    def __init__(self, reason: str, path: str = ...) -> None: ...

def dumps(value: Any, convert: Callable[[Any], Any] | None = None) -> bytes: ...
